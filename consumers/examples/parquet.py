"""Every event -> one row of a Parquet file: `FOLDER/app=.../date=.../<log>-<partition>-<offset>.parquet`.

`python -m consumers.examples.parquet FOLDER [SECONDS]`; in production also: pip install pyarrow. Exactly
once, by offset: rows are held until their file is complete. A file is written under a temporary name, synced,
then linked under its own name, which has the first offset, so one of two competing processes fails. Rows up
to the last offset in the files of a log's partition are skipped: another log begins at offset 0 again.
"""

import os
import time
from collections import defaultdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from consumers.kit import Hold, events, run

_ROWS_MAX = 50_000
_SCHEMA = pa.schema(
    [(name, pa.string()) for name in ("event_type", "event_id", "device_id", "event")]
    + [("received_at", pa.timestamp("ms", "UTC")), ("_offset", pa.int64())]
)


def write(folder: Path, place: str, rows: list[dict[str, Any]]) -> None:
    """Append the rows that the folder lacks, in order. Raises: FileExistsError if another process wrote."""
    folder.mkdir(parents=True, exist_ok=True)
    last = max(folder.glob(f"{place}-*.parquet"), default=None)
    done = pq.read_table(last, columns=["_offset"])["_offset"][-1].as_py() if last else -1
    new = [row for row in rows if row["_offset"] > done]
    if new:
        part = folder / f".{place}-{os.getpid()}.part"
        with part.open("wb") as file:
            pq.write_table(pa.Table.from_pylist(new, _SCHEMA), file, compression="zstd")
            os.fsync(file.fileno())
        os.link(part, folder / f"{place}-{new[0]['_offset']:020}.parquet")
        part.unlink()


def main(root: Path, seconds: float = 60, *, group: str = "parquet") -> None:
    """Write files until stopped; unwritten events are read again after a restart."""
    held: list[tuple[Path, str, dict[str, Any], Hold]] = []
    stream, written_at = events(group), time.monotonic()
    for event in stream.ticking(min(seconds, 1.0)):
        if event is not None:
            at = event["received_at"]
            app = quote(event.get("app_id") or "none", safe="")[:100].replace(".", "%2E")
            folder = root / f"app={app}" / f"date={datetime.fromtimestamp(at / 1000, UTC):%Y-%m-%d}"
            row = {name: event.get(name) for name in ("event_type", "event_id", "device_id")}
            row |= {"event": msgspec.json.encode(event).decode(), "received_at": at}
            row["_offset"] = stream.record.offset()
            place = f"{stream.log:010}-{stream.record.partition():04}"
            held.append((folder, place, row, stream.hold()))
        if len(held) >= _ROWS_MAX or (held and time.monotonic() - written_at >= seconds):
            files: dict[tuple[Path, str], list[dict[str, Any]]] = defaultdict(list)
            for folder, place, row, _ in (one for one in held if one[-1].is_ours):
                files[folder, place].append(row)
            for (folder, place), rows in files.items():
                write(folder, place, rows)
            for *_, hold in held:
                hold.release()
            held, written_at = [], time.monotonic()


if __name__ == "__main__":
    run(main)
