"""Ledger and foreign records -> tables of the expected views: `faults.sent`, `bodies` and `answers`.

A row of `sent` is an identity in a view; of `bodies`, a body in the quarantine. `must`: acknowledged, so
exactly one must be found; else at most one. Anything in neither table must not be found. Invariant: memory
holds one chunk.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from tests.faults.harness import damage, ledger
from tests.faults.harness.ledger import KEPT, Entry
from tests.faults.harness.posts import QUARANTINE, Post, Posts

_CHUNK_ROWS = 50_000
_TABLES = (
    "CREATE DATABASE IF NOT EXISTS faults ENGINE = Atomic",
    """CREATE OR REPLACE TABLE faults.sent (
         number UInt64, must UInt8, view LowCardinality(String), app_id String, event_id String,
         device_id String, session_id String, timestamp_ms Int64
       ) ENGINE = MergeTree ORDER BY number""",
    "CREATE OR REPLACE TABLE faults.bodies (must UInt8, body String) ENGINE = MergeTree ORDER BY tuple()",
    """CREATE OR REPLACE TABLE faults.answers (
         app_id String, event_id String, began_us Int64, acknowledged_us Int64
       ) ENGINE = MergeTree ORDER BY (app_id, event_id)""",
)
_NEVER_US = 2**62
_encode = msgspec.json.Encoder().encode


class Figures(msgspec.Struct):
    """Figures of the ledger."""

    acknowledged: int = 0  # posts answered 200, each once
    quarantined: int = 0  # posts answered 400 or 422, each once
    gave_up: int = 0
    sent_twice: int = 0
    requests: int = 0  # including retries
    foreign: int = 0  # records put into the topics by others, acknowledged by Kafka
    milliseconds: Counter[int] = msgspec.field(default_factory=Counter)  # of the answers 200

    def percentile(self, share: float) -> int:
        """Return the milliseconds within which a share of the answers 200 came."""
        left = share * self.milliseconds.total()
        for milliseconds, count in sorted(self.milliseconds.items()):
            left -= count
            if left <= 0:
                return milliseconds
        return 0


class Sql(Protocol):
    """A stack whose tables can be queried."""

    def sql(self, query: str, data: bytes = b"") -> bytes:
        """Return what ClickHouse answers. Raises: httpx.HTTPError."""


class Expected:
    """Loads the expected data into ClickHouse."""

    def __init__(self, world: Sql, posts: Posts) -> None:
        self.figures = Figures()
        self.complaints: list[str] = []
        self._world = world
        self._posts = posts
        self._rows: dict[str, list[bytes]] = {"sent": [], "bodies": [], "answers": []}

    def load(self, path: Path, foreign: Path | None = None) -> None:
        """Create the tables from the ledger at `path` and the foreign records."""
        for statement in _TABLES:
            self._world.sql(statement)
        for entry in self._once_each(path):
            self._expect_entry(entry)
        for record in damage.foreign(foreign) if foreign else ():
            self.figures.foreign += record.acknowledged
            if record.number >= 0:
                self._expect(self._posts.post(record.number, good=True), must=record.acknowledged)
            else:
                self._add("bodies", _body(record.kept, must=record.acknowledged))
        for table in self._rows:
            self._flush(table)

    def _once_each(self, path: Path) -> Iterator[Entry]:
        """Yield one entry per number; of two, the better one."""
        first: dict[int, Entry] = {}
        for entry in ledger.entries(path):
            self.figures.requests += entry.requests
            if entry.status == 200:
                self.figures.milliseconds[entry.milliseconds] += 1
            if earlier := first.pop(entry.number, None):
                self.figures.sent_twice += 1
                better = entry if entry.status in KEPT else earlier
                yield msgspec.structs.replace(better, began_us=min(entry.began_us, earlier.began_us))
            elif self._posts.how(entry.number) == "twice":
                first[entry.number] = entry
            else:
                yield entry
        yield from first.values()

    def _expect_entry(self, entry: Entry) -> None:
        post = self._posts.post(entry.number)
        if entry.status not in (post.status, 0, 500):
            self.complaints.append(f"post {entry.number} was answered {entry.status}, not {post.status}")
        if post.status == 401:
            return
        must = entry.status == post.status
        self.figures.acknowledged += entry.status == 200
        self.figures.quarantined += entry.status in (400, 422)
        self.figures.gave_up += not must
        if post.view == QUARANTINE:
            self._add("bodies", _body(post.kept, must=must))
        else:
            self._expect(post, must=must)
            self._answered(entry, post)

    def _answered(self, entry: Entry, post: Post) -> None:
        row = {
            "app_id": post.app_id,
            "event_id": post.event_id,
            "began_us": entry.began_us,
            "acknowledged_us": entry.ended_us if entry.status == 200 else _NEVER_US,
        }
        self._add("answers", _encode(row))

    def _expect(self, post: Post, *, must: bool) -> None:
        row = {
            "number": post.number,
            "must": int(must),
            "view": post.view,
            "app_id": post.app_id,
            "event_id": post.event_id,
            "device_id": post.device_id,
            "session_id": post.session_id,
            "timestamp_ms": post.timestamp_ms,
        }
        self._add("sent", _encode(row))

    def _add(self, table: str, row: bytes) -> None:
        self._rows[table].append(row)
        if len(self._rows[table]) >= _CHUNK_ROWS:
            self._flush(table)

    def _flush(self, table: str) -> None:
        rows, self._rows[table] = self._rows[table], []
        if rows:
            form = "RowBinary" if table == "bodies" else "JSONEachRow"
            self._world.sql(f"INSERT INTO faults.{table} FORMAT {form}", b"".join(rows))


def _body(kept: bytes, *, must: bool) -> bytes:
    """Build a row of `faults.bodies` in RowBinary, because bodies need not be UTF-8."""
    length, size = bytearray(), len(kept)
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    length.append(size)
    return bytes([must]) + bytes(length) + kept
