"""`python -m tests.faults.harness.mutants [NAME ...]`: breaks our code to test the harness.

Each mutant is a copy of the checkout with replaced texts; the checkout itself is never changed. A mutant that
passes is a hole in the harness. The unchanged code must pass the same faults. Exit status: 0 each mutant
caused the right complaint, 1 not. Invariant: a text that is missing, or there twice, is an error.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from deploy.local.settings import ROOT

_PARTS = ("runtime", "schemas", "ingest", "consumers", "deploy", "tests", "pyproject.toml")
_IGNORED = shutil.ignore_patterns("__pycache__", "*.pyc")
_RUN_SECONDS_MAX = 420.0


class Mutant(msgspec.Struct, frozen=True):
    """One mutation, and the faults that reveal it."""

    path: str
    changes: Mapping[str, str]  # text -> replacement
    faults: str  # faults under which it shows quickly
    complaint: str  # regular expression
    seconds: float = 20.0
    hands: int = 1
    rate: float = 200.0
    session_ms: int = 6000


_PUBLISHER, _BATCH = "ingest/delivery/publisher.py", "consumers/warehouse/load/batch.py"
_LOST = r"events: \d+ lost"

MUTANTS: Mapping[str, Mutant] = {
    "answer_before_delivery_report": Mutant(
        _PUBLISHER,
        {
            "await self._producer.produce(record)": (
                "self._producer.produce(record).add_done_callback(lambda done: done.exception())"
            )
        },
        "stop kafka,kill ingest",
        _LOST,
    ),
    # The simulation finds a segment removed before its reports; catching up takes only milliseconds here.
    "spool_of_a_killed_process_is_forgotten": Mutant(
        "ingest/delivery/segment_writer.py",
        {"return {path: sizes[path] for path in paths}": "return {}"},
        "flap kafka",
        _LOST,
        seconds=35.0,
    ),
    "commit_before_insert": Mutant(
        "consumers/warehouse/load/loader.py",
        {
            "self._job = _started(lambda: self._flusher.write(batch), batch)": (
                "self._consumer.commit(batch.offsets)\n"
                "        self._job = _started(lambda: self._flusher.write(batch), batch)"
            )
        },
        "stop clickhouse,kill clickhouse,kill warehouse",
        _LOST,
        seconds=30.0,
        hands=2,
    ),
    "drop_on_quarantine_failure": Mutant(
        "consumers/kit/quarantine.py",
        {'raise TransientError(f"the quarantine topic: {why}")': "return []"},
        "poison_and_stop kafka",
        r"quarantine: \d+ lost",
        seconds=40.0,
        session_ms=30_000,  # otherwise the group drops the loader, and its records are read again
    ),
    "forget_final": Mutant(
        "consumers/warehouse/views.py",
        {'_FINAL = "FINAL SETTINGS': '_FINAL = "SETTINGS'},
        "stop warehouse",
        r"events: \d+ doubled",
        seconds=10.0,
    ),
    "answer_422_and_keep_nothing": Mutant(
        "ingest/http/webhook.py",
        {
            "kept = await self._publisher.publish(received.record)": (
                'kept = "kafka" if isinstance(received, Rejected) else '
                "await self._publisher.publish(received.record)"
            )
        },
        "stop warehouse",
        r"quarantine: \d+ lost",
        seconds=10.0,
    ),
    "trust_any_checksum": Mutant(
        _BATCH,
        {"if crc32 == checksum(value)": "if crc32 is not None and len(checksum(value)) > 0"},
        "poison topic",
        r"quarantine: \d+ lost",
    ),
    "forget_order_while_catching_up": Mutant(
        _PUBLISHER,
        {
            "if self.state is _DIRECT or (self._hold": (
                "if self.state is not DeliveryState.SPOOLING or (self._hold"
            )
        },
        "slow disk",
        r"order: \d+ events lie behind later ones",
        seconds=40.0,
        rate=300.0,
    ),
    "drop_what_kafka_refuses": Mutant(
        "ingest/delivery/rescue.py",
        {
            "    async def _quarantine(self, record: OutgoingRecord, reason: str) -> bool:\n": (
                "    async def _quarantine(self, record: OutgoingRecord, reason: str) -> bool:\n"
                "        return True\n"
            )
        },
        "refuse topic",
        _LOST,
        seconds=15.0,
    ),
    "freshness_stands_still": Mutant(
        "consumers/live/poller.py",
        {
            "await self._poll(name, source)\n": (
                "await self._poll(name, source)\n"
                '            await (asyncio.Event().wait() if name == "kafka" else asyncio.sleep(0))\n'
            )
        },
        "stop warehouse",
        r"freshness: the metric says",
        seconds=10.0,
    ),
    "identity_without_app": Mutant(
        "consumers/warehouse/tables.py",
        {'IDENTITY = "app_id, ': 'IDENTITY = "'},
        "stop warehouse",
        _LOST,
        seconds=10.0,
    ),
}


class Result(msgspec.Struct, frozen=True):
    """The harness's verdict on a checkout."""

    status: int
    said: str


def run(mutant: Mutant, *, mutated: bool, seed: int = 1) -> Result:
    """Run the harness on a copy of the checkout with the mutant's faults. Raises: LookupError."""
    with tempfile.TemporaryDirectory(prefix="tapline-mutant-") as folder:
        copy = Path(folder) / "checkout"
        for part in _PARTS:
            _copy(ROOT / part, copy / part)
        if mutated:
            mutate(copy / mutant.path, mutant.changes)
        return _harness(copy, mutant, Path(folder) / "data", seed)


def mutate(path: Path, changes: Mapping[str, str]) -> None:
    """Replace texts in a file. Raises: LookupError unless each occurs exactly once."""
    text = path.read_text()
    for old, new in changes.items():
        if text.count(old) != 1:
            raise LookupError(f"{path.name} has the text {text.count(old)} times, not once: {old!r}")
        text = text.replace(old, new)
    path.write_text(text)


def fault_of(mutant: Mutant, result: Result) -> str:
    """Return why the harness missed the mutant; empty if it did not."""
    if result.status != 1:
        return f"exit status {result.status}, not 1:\n{result.said}"
    return "" if re.search(mutant.complaint, result.said) else f"no /{mutant.complaint}/ in:\n{result.said}"


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.harness.mutants")
    parser.add_argument("names", nargs="*", help=f"of: {', '.join(MUTANTS)} (default: all)")
    names = parser.parse_args().names or list(MUTANTS)
    faults = 0
    for name in names:
        fault = fault_of(MUTANTS[name], run(MUTANTS[name], mutated=True))
        _say(f"{name}: {fault or 'told'}")
        faults += bool(fault)
    plans = {(mutant.faults, mutant.seconds): mutant for mutant in map(MUTANTS.__getitem__, names)}
    for mutant in plans.values():
        result = run(mutant, mutated=False)
        _say(f"as it is, under {mutant.faults}: {result.said if result.status else 'passes'}")
        faults += result.status != 0
    return min(faults, 1)


def _harness(copy: Path, mutant: Mutant, data: Path, seed: int) -> Result:
    options: Sequence[object] = (
        *("--seed", seed, "--seconds", mutant.seconds, "--rate", mutant.rate, "--hands", mutant.hands),
        *("--session-ms", mutant.session_ms),
        *("--only", mutant.faults, "--folder", data),
    )
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.harness", *map(str, options)],
        cwd=copy,
        env=os.environ | {"TAPLINE_CACHE": os.environ.get("TAPLINE_CACHE", str(ROOT / ".cache"))},
        capture_output=True,
        text=True,
        timeout=_RUN_SECONDS_MAX,
        check=False,
    )
    return Result(done.returncode, done.stdout + done.stderr[-3000:])


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=_IGNORED)
    else:
        shutil.copy(source, target)


if __name__ == "__main__":
    sys.exit(main())
