"""Queries as text -> rows in a pipe, or a fault. The only module that uses chDB.

Invariants: one process opens a data folder. Each query runs on its own connection, or on its session's, so
that settings, database and read-only mode end with it. The engine enforces limits and rights, which no query
can raise. Source: chDB 4.4 (ClickHouse 26.9). Verified: queries release the GIL; a connection costs 0.3 ms;
INTO OUTFILE writes any format into a pipe with back-pressure; KILL QUERY ends a query within 0.1 s; a killed
query of a few milliseconds may end without error and rows, but an insert only with all its rows;
statements may be bytes, and an error whose text is not UTF-8 raises UnicodeDecodeError, which holds the text.
"""

import contextlib
import queue
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import chdb
from chdb.state.sqlitelike import Connection

from deploy.local import engine_version
from deploy.local.clickhouse import configuration, faults
from deploy.local.clickhouse.faults import FrontError
from deploy.local.clickhouse.settings import Settings
from deploy.local.clickhouse.statement import parse_row

# A server's default of max_query_size applies to queries that run; the larger limit to those only parsed.
_QUERY_BYTES_MAX, _PARSED_BYTES_MAX = 256 * 1024, 64 * 1024 * 1024
# The setting that identifies a query, whose text is not kept as sent. It names chDB to other servers, which
# are unreachable from here.
_MARKER = "chdb_client_name"
_ROW = "JSONCompactEachRow"
_RUNS_MAX = 20
_CANCELLED = 394


class EngineConnection:
    """A connection that outlives a query, opened by the first one. One query at a time."""

    def __init__(self) -> None:
        self.marker = secrets.token_hex(8)
        self.connection: Connection | None = None

    def close(self) -> None:
        """Close it, and drop its temporary objects."""
        if self.connection is not None:
            self.connection.close()
            self.connection = None


@dataclass(frozen=True, slots=True)
class Query:
    """One statement and its context."""

    text: bytes
    marker: str  # a setting of its connection that identifies the query, for killing it
    query_id: str = ""  # from the client; the engine uses its own ids
    format: str = "TabSeparated"  # of the output, if the statement names none
    database: str = ""
    settings: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    readonly: bool = False
    held: EngineConnection | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a finished query."""

    output: bytes
    read_rows: int
    read_bytes: int
    written_rows: int
    written_bytes: int
    elapsed_ns: int


class Engine:
    """The engine on one data folder; thread-safe."""

    def __init__(self, settings: Settings, config: Path) -> None:
        engine_version.claim(configuration.folder(settings), engine_version.parse(chdb.engine_version))
        configuration.make_default_database(settings)
        self._path = str(configuration.folder(settings))
        self._root = Connection(f"{self._path}?config-file={config}")
        self._asking: queue.SimpleQueue[Connection] = queue.SimpleQueue()
        self.version, self.timezone = map(str, self.ask("SELECT version(), timezone()"))
        (names,) = self.ask("SELECT groupArray(name) FROM system.formats WHERE is_output")
        assert isinstance(names, list)
        self.formats = frozenset(map(str, names))

    def run(self, query: Query) -> Outcome:
        """Run `query` to its end. Raises: FrontError."""
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
        """Yield a connection set up for the query; a held connection is restored afterwards."""
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
        """Return the single row of an internal query. Raises: FrontError."""
        try:
            connection = self._asking.get_nowait()
        except queue.Empty:
            connection = Connection(self._path)
            connection.query(f"SET max_query_size = {_PARSED_BYTES_MAX}")
        try:
            return _row(connection, text.encode())
        finally:
            self._asking.put(connection)

    def query_ids(self, markers: Sequence[str]) -> dict[str, str]:
        """Return the engine's ids of the running queries with these markers."""
        (pairs,) = self.ask(
            f"SELECT groupArray((Settings['{_MARKER}'] AS marker, query_id)) FROM system.processes"  # noqa: S608 - ours
            f" WHERE marker IN {list(markers)}"
        )
        assert isinstance(pairs, list)
        return {str(marker): str(query_id) for marker, query_id in pairs}

    def kill(self, marker: str) -> None:
        """Ask the query with `marker` to end, if it runs."""
        with (
            contextlib.suppress(RuntimeError),
            contextlib.closing(Connection(self._path)) as connection,
        ):
            connection.query(f"KILL QUERY WHERE Settings['{_MARKER}'] = '{marker}' ASYNC")

    def close(self) -> None:
        """Close the data folder. No query may be running."""
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
    """Build the fault without the front's own clauses, because a server's client sent data, not a file."""
    text = re.sub(r":? \(in file/uri /dev/fd/\d+\)", "", text)
    text = text.replace(
        "While executing File: data for INSERT was parsed from file", "data for INSERT was parsed from query"
    )
    text = re.sub(r"\s*INTO OUTFILE '/dev/fd/\d+' TRUNCATE( COMPRESSION '\w+')?", "", text)
    return faults.from_text(text)


def _run(connection: Connection, text: bytes, form: str = _ROW) -> Any:
    return connection.query(text, form)  # type: ignore[arg-type]


def _row(connection: Connection, text: bytes) -> list[object]:
    """Return an internal query's single row; one that a user kills runs again. Raises: FrontError."""
    for _ in range(_RUNS_MAX):
        try:
            with _faults():
                output = _run(connection, text).bytes()
        except FrontError as error:
            if error.code != _CANCELLED:
                raise
        else:
            if output:
                # What a killed query left in its connection comes first.
                return parse_row(output.splitlines()[-1])
    raise FrontError(_CANCELLED, "QUERY_WAS_CANCELLED", "Query was cancelled.")


def _undoing(connection: Connection, query: Query) -> list[bytes]:
    """Return the statements that restore the session after the query's own settings."""
    statements = []
    if query.database:
        (now,) = _row(connection, b"SELECT hex(currentDatabase())")
        statements.append(b"USE " + _name(bytes.fromhex(str(now)).decode(errors="surrogateescape")))
    for name in query.settings:
        ask = b"SELECT any(value), any(changed), count() FROM system.settings WHERE name = "
        value, is_changed, is_known = _row(connection, ask + _literal(name))
        if is_known:
            before = _literal(str(value)) if is_changed else b"DEFAULT"
            statements.append(b"SET " + _name(name) + b" = " + before)
    return statements


def _preparation(query: Query) -> list[bytes]:
    statements = [b"USE " + _name(query.database)] if query.database else []
    changes = [_name(name) + b" = " + _literal(value) for name, value in query.settings.items()]
    changes += [_name("param_" + name) + b" = " + _literal(value) for name, value in query.parameters.items()]
    # In a session it would persist; by GET the front accepts only reads anyway.
    if query.readonly and query.held is None:
        changes.append(b"readonly = 2")
    if changes:
        statements += _setting(b"SET " + b", ".join(changes), query)
    return statements


def _setting(statement: bytes, query: Query) -> list[bytes]:
    """Return statements for a SET of any length: a server limits statements, not values in a URL or form."""
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
