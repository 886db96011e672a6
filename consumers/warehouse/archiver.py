"""Events in ClickHouse -> Parquet objects in a bucket or folder: one for each type, app and day.

Invariants: an object holds each event once. It is replaced as a whole, only by a file that ClickHouse sent to
its end. Archiving a day again overwrites its objects, and deletes those without events. ClickHouse is only
read, and needs no right to reach the bucket. Source: docs/decisions/0041-archive.md.
"""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from typing import IO
from urllib.parse import quote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url
from urllib3.exceptions import HTTPError

from consumers.kit.errors import TransientError
from consumers.warehouse.clickhouse import connect, querying
from consumers.warehouse.tables import PUBLIC, RAW, Table, quoted
from consumers.warehouse.views import columns_by_view
from runtime.environment import SettingsError
from schemas.catalog.columns import JSON

_QUERY_SECONDS_MAX = 3600.0
_NAME_CHARS_MAX = 200  # a key of S3 has at most 1,024 bytes, and an app_id up to 1 KiB
_SENTENCE_CHARS_MAX = 300
_END = b"PAR1"  # of every Parquet file
_SETTINGS = {"readonly": 2, "output_format_parquet_compression_method": "zstd"}
_WHERE = (
    "timestamp >= toDateTime64({start:String}, 3, 'UTC') AND timestamp < toDateTime64({end:String}, 3, 'UTC')"
)


@dataclass(frozen=True, slots=True)
class ArchivedDays:
    """What to archive."""

    start: date  # UTC
    end: date  # exclusive
    app_id: str = ""  # empty: every app


@dataclass(frozen=True, slots=True)
class ArchivePart:
    """The events of one object."""

    table: str
    app_id: str
    day: date  # UTC

    @property
    def path(self) -> str:
        """The object's name, in the layout that Hive, Spark, DuckDB and ClickHouse read."""
        return f"{self.table}/{_app(self.app_id)}/date={self.day}/events.parquet"


def object_store(url: str) -> ObjectStore:
    """Open `s3://bucket/prefix`, `gs://...`, `az://...` or `file:///folder`. Raises: SettingsError."""
    try:
        return from_url(url, mkdir=True) if urlsplit(url).scheme == "file" else from_url(url)
    except (BaseError, ValueError) as error:
        raise SettingsError(f"--to: {url}: {_sentence(error)}") from error


class Archiver:
    """One connection to ClickHouse and one store. Every method raises: TransientError."""

    def __init__(self, url: str, store: ObjectStore, tables: Sequence[Table]) -> None:
        self._store = store
        columns = columns_by_view(tables)
        # JSON repeats `raw`, and Parquet has no type for it.
        self._columns = {
            table.name: [column.name for column in columns[table.name] if column.type != JSON]
            for table in tables
            if table.partition_by
        }
        with querying():
            self._client = connect(url, _QUERY_SECONDS_MAX, **_SETTINGS)

    def archive(self, days: ArchivedDays) -> Iterator[ArchivePart]:
        """Write all objects of some days, and yield each once it is stored."""
        for table in self._columns:
            parts = self._parts(table, days)
            for part in parts:
                self._write(part)
                yield part
            self._delete_others(table, days, {part.path for part in parts})

    def _parts(self, table: str, days: ArchivedDays) -> list[ArchivePart]:
        sql = f"SELECT app_id, toDate(timestamp, 'UTC') AS day FROM {RAW}.{table} WHERE {_WHERE}"  # noqa: S608 - our names
        if days.app_id:
            sql += " AND app_id = {app_id:String}"
        given = {"start": str(days.start), "end": str(days.end), "app_id": days.app_id}
        with querying():
            rows = self._client.query(f"{sql} GROUP BY ALL ORDER BY ALL", parameters=given).result_rows
        return [ArchivePart(table, app_id, day) for app_id, day in rows]

    def _write(self, part: ArchivePart) -> None:
        names = ", ".join(map(quoted, self._columns[part.table]))
        sql = (
            f"SELECT {names} FROM {PUBLIC}.{part.table} WHERE app_id = {{app_id:String}} AND {_WHERE}"  # noqa: S608 - our names
            " ORDER BY timestamp, device_id, event_id"
        )
        start, end = part.day, date.fromordinal(part.day.toordinal() + 1)
        given = {"start": str(start), "end": str(end), "app_id": part.app_id}
        with tempfile.TemporaryFile() as file:
            try:
                with querying(), self._client.raw_stream(sql, given, fmt="Parquet") as answer:
                    shutil.copyfileobj(answer, file)
            except HTTPError as error:
                raise TransientError(f"ClickHouse: {error}") from error
            _check_end(file)
            with _storing(part.path):
                obstore.put(self._store, part.path, file)

    def _delete_others(self, table: str, days: ArchivedDays, written: set[str]) -> None:
        prefix = f"{table}/{_app(days.app_id)}" if days.app_id else table
        with _storing(prefix):
            paths = [one["path"] for some in obstore.list(self._store, prefix) for one in some]
            obstore.delete(
                self._store, [path for path in paths if _is_of(path, days) and path not in written]
            )


def _is_of(path: str, days: ArchivedDays) -> bool:
    _, _, rest = path.rpartition("/date=")
    day = rest.removesuffix("/events.parquet")
    return rest != day and str(days.start) <= day < str(days.end)


def _app(app_id: str) -> str:
    name = quote(app_id, safe="")
    if len(name) > _NAME_CHARS_MAX:
        name = f"{name[:_NAME_CHARS_MAX]}~{hashlib.sha256(app_id.encode()).hexdigest()[:16]}"
    return f"app_id={name}"


def _check_end(file: IO[bytes]) -> None:
    size = file.tell()
    file.seek(max(0, size - len(_END)))
    if file.read() != _END:
        raise TransientError("ClickHouse ended its answer early")
    file.seek(0)


@contextmanager
def _storing(path: str) -> Iterator[None]:
    try:
        yield
    except (BaseError, OSError) as error:  # a bucket that is absent is a FileNotFoundError
        raise TransientError(f"{path}: {_sentence(error)}") from error


def _sentence(error: Exception) -> str:
    return str(error).partition("\n")[0][:_SENTENCE_CHARS_MAX]
