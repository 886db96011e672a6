"""Queries as text -> rows in a pipe, or a fault. The only module that knows chDB.

Invariants: one process opens a data folder; each query runs on a connection of its own, or on that of its
session, so that settings, database and read-only mode end with it; limits and rights are the engine's own,
which no query can raise.
Source: chDB 4.4 (ClickHouse 26.9). Verified: queries release the GIL; a connection costs 0.3 ms; INTO
OUTFILE writes any format into a pipe with back-pressure; KILL QUERY ends a query within 0.1 s; a statement is
taken as bytes too, and an error whose text is no UTF-8 comes as a UnicodeDecodeError that holds it.
"""

import contextlib
import queue
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from chdb.state.sqlitelike import Connection

from deploy.local.clickhouse import configuration, faults
from deploy.local.clickhouse.faults import Fault
from deploy.local.clickhouse.settings import Settings
from deploy.local.clickhouse.statement import parse_row

# Of a text that is only parsed; a server's default of max_query_size holds for what is run.
_PARSED_BYTES_MAX = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Query:
    """One statement and what it is to run under."""

    text: bytes
    marker: (
        str  # unique; stands in a comment at the end of the text, so that the query can be found and killed
    )
    format: str = "TabSeparated"  # of the output of a statement that names none
    database: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    readonly: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a finished query did."""

    output: bytes
    read_rows: int
    read_bytes: int
    written_rows: int
    written_bytes: int
    elapsed_ns: int


class Engine:
    """The engine on one data folder; safe to use from many threads."""

    def __init__(self, settings: Settings, config: Path) -> None:
        configuration.make_default_database(settings)
        self._path = str(configuration.folder(settings))
        self._root = Connection(f"{self._path}?config-file={config}")
        self._asking: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self.version, self.timezone = map(str, self.ask("SELECT version(), timezone()"))
        (names,) = self.ask("SELECT groupArray(name) FROM system.formats WHERE is_output")
        assert isinstance(names, list)
        self.formats = frozenset(map(str, names))

    def run(self, query: Query) -> Outcome:
        """Run `query` to its end and return what it did. Raises: Fault."""
        with _faults(query.marker), contextlib.closing(Connection(self._path)) as connection:
            for statement in _preparation(query):
                connection.query(statement)  # type: ignore[arg-type]
            text = query.text + f"\n/* {query.marker} */".encode()
            result = connection.query(text, query.format)  # type: ignore[arg-type]
            return Outcome(
                output=result.bytes() or b"",
                read_rows=result.storage_rows_read(),
                read_bytes=result.storage_bytes_read(),
                written_rows=result.rows_written(),
                written_bytes=result.bytes_written(),
                elapsed_ns=int(result.elapsed() * 1e9),
            )

    def ask(self, text: str) -> list[object]:
        """Return the one row that answers a question of the front's own. Raises: Fault."""
        try:
            connection = self._asking.get_nowait()
        except queue.Empty:
            connection = Connection(self._path)
            connection.query(f"SET max_query_size = {_PARSED_BYTES_MAX}")
        try:
            with _faults():
                return parse_row(connection.query(text, "JSONCompactEachRow").bytes())
        finally:
            self._asking.put(connection)

    def kill(self, marker: str) -> None:
        """Ask the query of `marker` to end, if it runs."""
        with (
            contextlib.suppress(RuntimeError),
            contextlib.closing(Connection(self._path)) as connection,
        ):
            connection.query(f"KILL QUERY WHERE endsWith(query, '/* {marker} */') ASYNC")

    def close(self) -> None:
        """Close the data folder. No query may run any more."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._asking.get_nowait().close()
        self._root.close()


@contextlib.contextmanager
def _faults(marker: str = "") -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise _fault(error.object.decode(errors="surrogateescape"), marker) from error
    except RuntimeError as error:
        raise _fault(str(error), marker) from error


def _fault(text: str, marker: str) -> Fault:
    """Return the fault without the front's own words: a server's client sent its data, not a file."""
    text = re.sub(r":? \(in file/uri /dev/fd/\d+\)", "", text)
    text = text.replace(
        "While executing File: data for INSERT was parsed from file", "data for INSERT was parsed from query"
    )
    text = re.sub(r"\s*INTO OUTFILE '/dev/fd/\d+' TRUNCATE( COMPRESSION '\w+')?", "", text)
    return faults.from_text(re.sub(rf"\s*/\* {marker} \*/", "", text) if marker else text)


def _preparation(query: Query) -> list[bytes]:
    statements = [b"USE " + _name(query.database)] if query.database else []
    changes = [_name(name) + b" = " + _literal(value) for name, value in query.settings.items()]
    changes += [_name("param_" + name) + b" = " + _literal(value) for name, value in query.parameters.items()]
    if query.readonly:
        changes.append(b"readonly = 2")
    if changes:
        statements.append(b"SET " + b", ".join(changes))
    return statements


def _name(name: str) -> bytes:
    return b"`" + _bytes(name).replace(b"\\", b"\\\\").replace(b"`", b"\\`") + b"`"


def _literal(value: str) -> bytes:
    return b"'" + _bytes(value).replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'"


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
