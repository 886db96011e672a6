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
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chdb.state.sqlitelike import Connection

from deploy.local.clickhouse import configuration, faults
from deploy.local.clickhouse.faults import FrontError
from deploy.local.clickhouse.settings import Settings
from deploy.local.clickhouse.statement import parse_row

# A server's default of max_query_size holds for what is run; the other is for what is only parsed.
_QUERY_BYTES_MAX, _PARSED_BYTES_MAX = 256 * 1024, 64 * 1024 * 1024
# The setting by which a query is found, for its text is not kept as it came. It names chDB to other servers,
# which nothing here may reach.
_MARKER = "chdb_client_name"
_ROW = "JSONCompactEachRow"


class EngineConnection:
    """A connection that outlives a query; made with the first one. One query at a time."""

    def __init__(self) -> None:
        self.marker = secrets.token_hex(8)
        self.connection: Connection | None = None

    def close(self) -> None:
        """End it, and all that is temporary on it."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


@dataclass(frozen=True, slots=True)
class Query:
    """One statement and what it is to run under."""

    text: bytes
    marker: str  # of its connection, a setting there: so the query can be found and killed
    query_id: str = ""  # the client's; the engine has ids of its own
    format: str = "TabSeparated"  # of the output of a statement that names none
    database: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    readonly: bool = False
    held: EngineConnection | None = None


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
        """Run `query` to its end and return what it did. Raises: FrontError."""
        with _faults(), self._connection(query) as connection:
            result = _run(connection, query.text, query.format)
            return Outcome(
                output=result.bytes() or b"",
                read_rows=result.storage_rows_read(),
                read_bytes=result.storage_bytes_read(),
                written_rows=result.rows_written(),
                written_bytes=result.bytes_written(),
                elapsed_ns=int(result.elapsed() * 1e9),
            )

    @contextlib.contextmanager
    def _connection(self, query: Query) -> Iterator[Connection]:
        """Yield a connection on which all is as the query wants it; one that is held gets its own back."""
        with contextlib.ExitStack() as undoing:
            if query.held is None:
                connection = undoing.enter_context(contextlib.closing(self._connected(query.marker)))
            else:
                connection = query.held.connection = query.held.connection or self._connected(query.marker)
                for before in _undoing(connection, query):
                    undoing.callback(_run, connection, before)
            for statement in _preparation(query):
                _run(connection, statement)
            yield connection

    def _connected(self, marker: str) -> Connection:
        connection = Connection(self._path)
        _run(connection, f"SET {_MARKER} = '{marker}'".encode())
        return connection

    def ask(self, text: str) -> list[object]:
        """Return the one row that answers a question of the front's own. Raises: FrontError."""
        try:
            connection = self._asking.get_nowait()
        except queue.Empty:
            connection = Connection(self._path)
            connection.query(f"SET max_query_size = {_PARSED_BYTES_MAX}")
        try:
            with _faults():
                return parse_row(connection.query(text, _ROW).bytes())
        finally:
            self._asking.put(connection)

    def query_ids(self, markers: Sequence[str]) -> dict[str, str]:
        """Return the engine's own ids of those queries of `markers` that run."""
        (pairs,) = self.ask(
            f"SELECT groupArray((Settings['{_MARKER}'] AS marker, query_id)) FROM system.processes"  # noqa: S608 - ours
            f" WHERE marker IN {list(markers)}"
        )
        assert isinstance(pairs, list)
        return {str(marker): str(query_id) for marker, query_id in pairs}

    def kill(self, marker: str) -> None:
        """Ask the query of `marker` to end, if it runs."""
        with (
            contextlib.suppress(RuntimeError),
            contextlib.closing(Connection(self._path)) as connection,
        ):
            connection.query(f"KILL QUERY WHERE Settings['{_MARKER}'] = '{marker}' ASYNC")

    def close(self) -> None:
        """Close the data folder. No query may run any more."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._asking.get_nowait().close()
        self._root.close()


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise _fault(error.object.decode(errors="surrogateescape")) from error
    except RuntimeError as error:
        raise _fault(str(error)) from error


def _fault(text: str) -> FrontError:
    """Return the fault without the front's own words: a server's client sent its data, not a file."""
    text = re.sub(r":? \(in file/uri /dev/fd/\d+\)", "", text)
    text = text.replace(
        "While executing File: data for INSERT was parsed from file", "data for INSERT was parsed from query"
    )
    text = re.sub(r"\s*INTO OUTFILE '/dev/fd/\d+' TRUNCATE( COMPRESSION '\w+')?", "", text)
    return faults.from_text(text)


def _run(connection: Connection, text: bytes, form: str = _ROW) -> Any:
    return connection.query(text, form)  # type: ignore[arg-type]


def _undoing(connection: Connection, query: Query) -> list[bytes]:
    """Return what makes a session what it is now, once the query's own settings are gone."""
    statements = []
    if query.database:
        (now,) = parse_row(_run(connection, b"SELECT hex(currentDatabase())").bytes())
        statements.append(b"USE " + _name(bytes.fromhex(str(now)).decode(errors="surrogateescape")))
    for name in query.settings:
        ask = b"SELECT value, changed FROM system.settings WHERE name = "
        if row := _run(connection, ask + _literal(name)).bytes():
            value, is_changed = parse_row(row)
            before = _literal(str(value)) if is_changed else b"DEFAULT"
            statements.append(b"SET " + _name(name) + b" = " + before)
    return statements


def _preparation(query: Query) -> list[bytes]:
    statements = [b"USE " + _name(query.database)] if query.database else []
    changes = [_name(name) + b" = " + _literal(value) for name, value in query.settings.items()]
    changes += [_name("param_" + name) + b" = " + _literal(value) for name, value in query.parameters.items()]
    # In a session it would stay; the front lets nothing but reads come by GET anyway.
    if query.readonly and query.held is None:
        changes.append(b"readonly = 2")
    if changes:
        statements += _setting(b"SET " + b", ".join(changes), query)
    return statements


def _setting(statement: bytes, query: Query) -> list[bytes]:
    """Return what runs a SET of any length: a server bounds statements, not the values in a URL or form."""
    if len(statement) < _QUERY_BYTES_MAX:
        return [statement]
    own = query.settings.get("max_query_size")
    after = b"DEFAULT" if own is None else _literal(own)
    return [
        b"SET max_query_size = %d" % _PARSED_BYTES_MAX,
        statement,
        b"SET max_query_size = " + after,
    ]


def _name(name: str) -> bytes:
    return b"`" + _bytes(name).replace(b"\\", b"\\\\").replace(b"`", b"\\`") + b"`"


def _literal(value: str) -> bytes:
    return b"'" + _bytes(value).replace(b"\\", b"\\\\").replace(b"'", b"\\'") + b"'"


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
