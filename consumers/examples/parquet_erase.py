"""Files of the Parquet example -> the same without erased people: `... .parquet_erase FOLDER`.

For after `tapline erase`: its tombstones tell who is erased. A file is replaced as a whole, so a kill leaves
the old one or the new one, and the next run goes on. A file of nobody else is deleted. Offsets stay in the
files, so the example, which may run meanwhile, still writes each row once. A process that meets a deleted
file ends, and continues at its next start.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from consumers.kit.erasures.erased_ids import ErasedIds
from consumers.kit.erasures.follower import ErasureFollower
from consumers.kit.errors import TransientError
from consumers.kit.settings import Settings
from runtime import command
from runtime.kafka.audit import audited


def main(arguments: Sequence[str]) -> int:
    """Rewrite the files that hold somebody erased; return the exit status.

    Raises: TransientError, SettingsError, AuditError; ErasureError without the key of the tombstones.
    """
    parser = argparse.ArgumentParser(prog="parquet_erase", description="Take erased people out of files.")
    parser.add_argument("folder", type=Path, help="of the Parquet example")
    root: Path = parser.parse_args(arguments).folder
    settings = Settings.from_env(os.environ)
    erased = ErasureFollower(settings.kafka, "parquet-erase", settings.erasure_key).current()
    with audited(settings.kafka, "erase", "everybody, from Parquet files") as outcome:
        outcome.count = sum(erase(path, erased) for path in sorted(root.rglob("*.parquet")))
    sys.stdout.write(f"{outcome.count} rows of erased people are gone\n")
    return 0


def erase(path: Path, erased: ErasedIds) -> int:
    """Remove the rows of erased people from a file; return how many there were."""
    table = pq.read_table(path)
    stays = [not erased.stops(_event(row)) for row in table.select(["event", "received_at"]).to_pylist()]
    if all(stays):
        return 0
    if any(stays):
        part = path.with_name(f".{path.name}.part")
        with part.open("wb") as file:
            pq.write_table(table.filter(pa.array(stays)), file, compression="zstd")
            os.fsync(file.fileno())
        part.replace(path)
    else:
        path.unlink()
    return stays.count(False)


def _event(row: dict[str, Any]) -> dict[str, Any]:
    event: dict[str, Any] = msgspec.json.decode(row["event"])
    return event | {"received_at": round(row["received_at"].timestamp() * 1000)}


if __name__ == "__main__":
    command.main("could not erase", main, {TransientError: 1})
