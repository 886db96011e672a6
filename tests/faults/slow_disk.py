"""An ingest with a slow disk: how soon it is direct again after an outage, under load.

`python -m tests.faults.slow_disk` measures disks of 0 to 20 ms at several rates, on its own Kafka, and prints
a table. `python -m tests.faults.slow_disk SECONDS` runs such an ingest.
"""

import asyncio
import os
import runpy
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from tests.faults.posting import client_of, event, timed_post
from tests.support.process import Ingest
from tests.support.stack import Stack
from tests.support.waiting import eventually

_FSYNC_SECONDS = (0.0, 0.005, 0.010, 0.020)
_RATES = (300, 600)
_SENDERS = 24  # each posts one event after the other: with 23 ms per answer they can do 1,000/s
_AWAY_SECONDS = 5.0
_BACK_SECONDS_MAX = 60.0
_AFTER_SECONDS = 1.0
_NOTICED_SECONDS = 2.5  # time after which ingest spools
_HEAD = (
    "| fsync ms | asked events/s | posted/s | backlog | direct again s | spooled answer ms | states |",
    "|---:|---:|---:|---:|---:|---:|---|",
)


@dataclass(frozen=True, slots=True)
class Figures:
    """The results of one run."""

    statuses: set[int]
    posted: int
    backlog: int  # records spooled when Kafka continued
    back_seconds: float  # from then until the state was direct
    states: list[str]  # one after the other
    spooled_ms: float  # median answer while Kafka was down
    rate: float  # events/s answered while Kafka was down and the spool accepted them


def ingest(kafka: str, folder: Path, fsync_seconds: float) -> Ingest:
    """Return a running ingest with a disk of this speed."""
    return Ingest(kafka, folder, module=("tests.faults.slow_disk", str(fsync_seconds))).start()


async def outage(broker: Stack, process: Ingest, rate: float, away_seconds: float) -> Figures:
    """Stop Kafka for a while under this load, and continue until ingest is direct again."""
    states, done, answers = ["direct"], asyncio.Event(), list[tuple[float, int, float]]()
    posting = asyncio.create_task(_post(process, rate, done, answers))
    await asyncio.sleep(_AFTER_SECONDS)
    broker.kill("kafka", signal.SIGSTOP)
    stopped_at = time.perf_counter()
    try:
        await asyncio.sleep(away_seconds)
        backlog = (await _readiness(process))["spool_records"]
    finally:
        broker.kill("kafka", signal.SIGCONT)
    went_on_at = time.perf_counter()
    while time.perf_counter() < went_on_at + _BACK_SECONDS_MAX:
        if states[-1] != (state := (await _readiness(process))["state"]):
            states.append(state)
        if state == "direct":
            break
        await asyncio.sleep(0.005)
    back_seconds = time.perf_counter() - went_on_at
    await asyncio.sleep(_AFTER_SECONDS)
    done.set()
    await posting
    away = sorted(s for at, _, s in answers if stopped_at + _NOTICED_SECONDS < at < went_on_at)
    return Figures(
        {status for _, status, _ in answers},
        len(answers),
        backlog,
        back_seconds,
        states,
        away[len(away) // 2] * 1000 if away else 0.0,
        len(away) / (went_on_at - stopped_at - _NOTICED_SECONDS),
    )


async def _readiness(process: Ingest) -> Any:
    return (await asyncio.to_thread(process.admin.get, "/readyz")).json()


async def _post(
    process: Ingest, rate: float, done: asyncio.Event, answers: list[tuple[float, int, float]]
) -> None:
    began = time.perf_counter()

    async def sender(app: int) -> None:
        for number in count():
            due = began + (number * _SENDERS + app) / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if done.is_set():
                return
            status, seconds = await timed_post(client, event(number, app_id=f"app-{app}"))
            answers.append((time.perf_counter(), status, seconds))

    async with client_of(process) as client:
        await asyncio.gather(*map(sender, range(_SENDERS)))


def _main(arguments: list[str]) -> None:
    if arguments:
        _run_slowly(float(arguments[0]))
        return
    with tempfile.TemporaryDirectory(prefix="tapline-slow-disk-") as folder:
        broker = Stack(Path(folder) / "kafka", only="kafka").start()
        try:
            for line in _HEAD:
                _say(line)
            for fsync_seconds in _FSYNC_SECONDS:
                for rate in _RATES:
                    _measure(broker, Path(folder), fsync_seconds, rate)
        finally:
            broker.stop()


def _measure(broker: Stack, folder: Path, fsync_seconds: float, rate: int) -> None:
    place = folder / f"{fsync_seconds}-{rate}"
    place.mkdir()
    process = ingest(broker.kafka, place, fsync_seconds)
    try:
        assert eventually(process.direct, 60)
        seen = asyncio.run(outage(broker, process, rate, _AWAY_SECONDS))
    finally:
        process.stop()
    numbers = f"{seen.rate:,.0f} | {seen.backlog:,} | {seen.back_seconds:.1f} | {seen.spooled_ms:.1f}"
    _say(f"| {fsync_seconds * 1e3:.0f} | {rate} | {numbers} | {', '.join(seen.states)} |")


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _run_slowly(seconds: float) -> None:
    """Run an ingest whose syncs take this much longer."""
    for name in ("fsync", "fdatasync"):
        setattr(os, name, partial(_slowly, getattr(os, name), seconds))
    sys.argv = ["ingest"]
    runpy.run_module("ingest", run_name="__main__", alter_sys=True)


def _slowly(sync: Callable[[int], None], seconds: float, descriptor: int) -> None:
    time.sleep(seconds)
    sync(descriptor)


if __name__ == "__main__":
    _main(sys.argv[1:])
