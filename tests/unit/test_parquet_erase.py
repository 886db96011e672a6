"""Files of the Parquet example -> the same without erased people, however often and wherever it is killed."""

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from consumers.examples import parquet, parquet_erase
from consumers.kit.erasures.erased_ids import DEVICE, ErasedIds, IdHashes

_MINE, _OTHER = "device-of-somebody", "device-of-another"
_AT_MS = 1_795_000_000_000


def erased(at_ms: int = _AT_MS) -> ErasedIds:
    """Return the tombstone of a device."""
    hashes = IdHashes(b"k" * 32)
    found = ErasedIds(hashes)
    found.add(hashes.tombstone(DEVICE, _MINE, at_ms, ""))
    return found


def written(folder: Path, *devices: str, first: int = 0) -> Path:
    """Write a file as the example does; the id is in a text, not in its own column."""
    rows = [
        {
            "event_type": "AppOpened",
            "event_id": str(offset),
            "device_id": "",
            "event": msgspec.json.encode({"timestamp": _AT_MS, "note": [f"see {device}!"]}).decode(),
            "received_at": datetime.fromtimestamp(_AT_MS / 1000, UTC),
            "_offset": offset,
        }
        for offset, device in enumerate(devices, first)
    ]
    parquet.write(folder, "0-0", rows)
    return max(folder.glob("*.parquet"))


def test_rows_of_erased_people_leave_the_file(tmp_path: Path) -> None:
    """The file keeps its name, and the others' rows and offsets; nothing of them is in its bytes."""
    path = written(tmp_path, _OTHER, _MINE, _OTHER)
    gone = parquet_erase.erase(path, erased())

    assert gone == 1
    assert pq.read_table(path)["_offset"].to_pylist() == [0, 2]
    assert [*tmp_path.iterdir()] == [path]
    assert parquet_erase.erase(path, erased()) == 0


def test_a_file_of_nobody_else_is_deleted(tmp_path: Path) -> None:
    """The example goes on writing where it was."""
    path = written(tmp_path, _MINE, _MINE)

    assert parquet_erase.erase(path, erased()) == 2
    assert not path.exists()
    assert pq.read_table(written(tmp_path, _OTHER, first=2))["_offset"].to_pylist() == [2]


def test_later_events_stay(tmp_path: Path) -> None:
    """Somebody who comes back is a new matter."""
    path = written(tmp_path, _MINE)

    assert parquet_erase.erase(path, erased(_AT_MS - 1)) == 0
    assert path.exists()
