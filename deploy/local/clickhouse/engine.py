"""Queries as text -> rows in a pipe, or a fault. The only module that knows chDB.

Invariants: one process opens a data folder; each query runs on a connection of its own, so that settings,
database and read-only mode end with it; limits are constraints of the engine's user profile, which no query
can raise.
Source: chDB 4.4 (ClickHouse 26.9). Verified: queries release the GIL; a connection costs 0.3 ms; INTO
OUTFILE writes any format into a pipe with back-pressure; KILL QUERY ends a query within 0.1 s.
"""

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from chdb import ChdbError
from chdb.state.sqlitelike import Connection

from deploy.local.clickhouse import faults
from deploy.local.clickhouse.settings import Settings

_CONFIG = """\
<clickhouse>
  <max_server_memory_usage>{memory}</max_server_memory_usage>
  <user_directories><users_xml><path>{users}</path></users_xml></user_directories>
</clickhouse>
"""
# implicit_select: on in chDB, off in a server; a bare word is a syntax error then, not a column's name.
# max_threads_min_free_memory_per_thread: a GiB to each thread would leave one core of two unused.
_USERS = """\
<clickhouse>
  <profiles><default>
    <implicit_select>0</implicit_select>
    <allow_introspection_functions>0</allow_introspection_functions>
    <max_memory_usage>{query_memory}</max_memory_usage>
    <max_execution_time>{seconds}</max_execution_time>
    <max_result_bytes>{result}</max_result_bytes>
    <max_threads_min_free_memory_per_thread>0</max_threads_min_free_memory_per_thread>
    <constraints>
      <max_memory_usage><min>1</min><max>{query_memory}</max></max_memory_usage>
      <max_execution_time><min>0.001</min><max>{seconds}</max></max_execution_time>
      <max_result_bytes><min>1</min><max>{result}</max></max_result_bytes>
    </constraints>
  </default></profiles>
  <users><default>
    <password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
  </default></users>
  <quotas><default></default></quotas>
</clickhouse>
"""


@dataclass(frozen=True, slots=True)
class Query:
    """One statement and what it is to run under."""

    text: str
    marker: (
        str  # unique; stands in a comment at the end of the text, so that the query can be found and killed
    )
    format: str = "TabSeparated"  # of the output of a statement that names none
    database: str = ""
    settings: Mapping[str, str] | None = None
    parameters: Mapping[str, str] | None = None
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

    def __init__(self, settings: Settings) -> None:
        folder = settings.data_dir.resolve() / "clickhouse"
        folder.mkdir(parents=True, exist_ok=True)
        self._path = str(folder)
        self._root = Connection(f"{folder}?config-file={_write_config(folder.parent / 'run', settings)}")
        version, timezone = self._root.query("SELECT version(), timezone()", "TSV").bytes().decode().split()
        self.version: str = version
        self.timezone: str = timezone

    def run(self, query: Query) -> Outcome:
        """Run `query` to its end and return what it did. Raises: Fault."""
        try:
            with contextlib.closing(Connection(self._path)) as connection:
                for statement in _preparation(query):
                    connection.query(statement)
                text = f"{query.text}\n/* {query.marker} */"
                result = connection.query(text, query.format, params=dict(query.parameters or {}))
                return Outcome(
                    output=result.bytes() or b"",
                    read_rows=result.storage_rows_read(),
                    read_bytes=result.storage_bytes_read(),
                    written_rows=result.rows_written(),
                    written_bytes=result.bytes_written(),
                    elapsed_ns=int(result.elapsed() * 1e9),
                )
        except (ChdbError, RuntimeError) as error:
            raise faults.from_text(_without(str(error), query.marker)) from error

    def kill(self, marker: str) -> None:
        """Ask the query of `marker` to end, if it runs."""
        with (
            contextlib.suppress(ChdbError, RuntimeError),
            contextlib.closing(Connection(self._path)) as connection,
        ):
            connection.query(f"KILL QUERY WHERE endsWith(query, '/* {marker} */') ASYNC")

    def close(self) -> None:
        """Close the data folder. No query may run any more."""
        self._root.close()


def _preparation(query: Query) -> list[str]:
    statements = [f"USE {_name(query.database)}"] if query.database else []
    changes = [f"{_name(name)} = {_literal(value)}" for name, value in (query.settings or {}).items()]
    if changes:
        statements.append("SET " + ", ".join(changes))
    if query.readonly:
        statements.append("SET readonly = 2")
    return statements


def _without(text: str, marker: str) -> str:
    """Return `text` without the front's own words: a server's client sent its data, not a file."""
    text = re.sub(r":? \(in file/uri /dev/fd/\d+\)", "", text)
    text = text.replace(
        "While executing File: data for INSERT was parsed from file", "data for INSERT was parsed from query"
    )
    text = re.sub(r"\s*INTO OUTFILE '/dev/fd/\d+' TRUNCATE( COMPRESSION '\w+')?", "", text)
    return re.sub(rf"\s*/\* {marker} \*/", "", text)


def _write_config(folder: Path, settings: Settings) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    users, config = folder / "clickhouse-users.xml", folder / "clickhouse-config.xml"
    users.write_text(
        _USERS.format(
            query_memory=settings.query_memory_bytes_max,
            seconds=settings.query_seconds_max,
            result=settings.result_bytes_max,
        )
    )
    config.write_text(_CONFIG.format(memory=settings.memory_bytes_max, users=escape(os.fspath(users))))
    return config


def _name(name: str) -> str:
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def _literal(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
