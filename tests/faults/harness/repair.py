"""The operator's repairs after faults that delete rows, and the final proof.

A dropped table loses its rows, a dropped column its values. Tapline promises that later events are loaded,
and that documented commands restore the rest from Kafka: `reconcile --repair` restores rows whose offsets
have none, `replay --from --to` values, `replay --where` records that Kafka refused. The judge runs them
before it judges.
"""

import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.faults.harness.world import World
from tests.support.stack import ROOT

_SECONDS_MAX = 3600.0
# Records that Kafka refused when ingest published them.
REFUSED = "reason = 'refused' AND source = 'spool'"
_REPAIR, _RELOAD = "consumers.reconcile", "consumers.replay"


def left_out() -> Iterator[tuple[str, str]]:
    """Yield (kind of fault, reason) for faults whose repair is missing."""
    if not _exists(_REPAIR):
        yield "drop", f"{_REPAIR} is not there to repair it"
    if not _exists(_RELOAD):
        yield "alter", f"{_RELOAD} is not there to repair it"


def repair(world: World, folder: Path) -> list[str]:
    """Restore dropped data, if any; return complaints."""
    complaints = []
    # Reloading everything first avoids searching for restored rows one by one.
    if world.column_dropped.is_set():
        complaints += _run(world, folder, [_RELOAD, "--from", "2020-01-01", "--to", "2099-01-01"])
    if world.table_dropped.is_set():
        complaints += _run(world, folder, [_REPAIR, "--repair"])
    if world.refused.is_set():
        complaints += _run(world, folder, [_RELOAD, "--where", REFUSED])
    return complaints


def reconcile(world: World, folder: Path, notes: list[str]) -> list[str]:
    """Return the complaint if the proof fails."""
    if not _exists(_REPAIR):
        notes.append(f"{_REPAIR} is not there: its proof was not asked for")
        return []
    return _run(world, folder, [_REPAIR])


def _exists(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def _run(world: World, folder: Path, arguments: list[str]) -> list[str]:
    at = {"KAFKA_BOOTSTRAP_SERVERS": world.stack.kafka, "CLICKHOUSE_URL": world.stack.clickhouse_url}
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=world.stack.env | at,
        capture_output=True,
        text=True,
        timeout=_SECONDS_MAX,
        check=False,
    )
    with (folder / "repair.log").open("a") as log:
        log.write(f"--- {' '.join(arguments)}\n{done.stdout}{done.stderr}")
    end = "\n".join((done.stdout + done.stderr).splitlines()[-8:])
    return [] if done.returncode == 0 else [f"{' '.join(arguments)} exits {done.returncode}:\n{end}"]
