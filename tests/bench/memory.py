"""Many events -> the memory of ingest and the loader, and whether it grows.

The loader's events have varied sizes, so that some batches end by their rows and some by their bytes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from tests.bench import cores, receiving, records, services
from tests.bench.load import closed
from tests.bench.options import Options
from tests.bench.payloads import payloads
from tests.bench.report import Section, goal, say, spread, table
from tests.support.waiting import eventually
from tests.support.warehouse import Loader

# Of a smoke run, a usual one, a long one.
_REQUESTS, _ROWS = (3_000, 100_000, 1_000_000), (3_000, 600_000, 10_000_000)
_STEPS = 10
_MEBIBYTE = 1024 * 1024
_SECONDS_MAX = 1800.0


@dataclass(frozen=True, slots=True)
class Held:
    """Resident memory of one process in MiB, after each tenth of its work."""

    who: str
    done: int
    steps: Sequence[float]

    @property
    def growth(self) -> float:
        """The last value relative to the value after a fifth of the work."""
        return self.steps[-1] / self.steps[_STEPS // 5 - 1]


def run(options: Options) -> Section:
    """Measure both. Raises: LostError."""
    ingest = _ingest(options.pick(*_REQUESTS), options)
    loader = _loader(options.pick(*_ROWS))
    about = "ingest: 64 connections, a mix of all types. loader: sizes of 1 to 40 KB, its peak so far."
    goals = [
        goal(f"ingest after {options.pick(*_REQUESTS):,} requests, MiB", spread(ingest.steps[-1:]), most=150),
        goal("ingest after all of them to a fifth of them", spread([ingest.growth]), most=1.1),
        goal(f"loader over {loader.done:,} rows, MiB", spread(loader.steps[-1:]), most=400),
        goal("loader's peak to that of a fifth of the rows", spread([loader.growth]), most=1.1),
    ]
    steps = [f"{step * 100 // _STEPS}%" for step in range(1, _STEPS + 1)]
    lines = table(
        ("MiB after", *steps), [[one.who, *(f"{mib:.0f}" for mib in one.steps)] for one in (ingest, loader)]
    )
    return Section("memory", "Memory", about, goals, lines)


def _ingest(requests: int, options: Options) -> Held:
    with (
        services.running("kafka") as (stack, folder),
        cores.on(cores.OTHERS),
        receiving.running(stack.kafka, folder, ["tapline"]) as receivers,
    ):
        receiver, done, steps = receivers["tapline"], 0, list[float]()
        while len(steps) < _STEPS:
            load = closed(receiver.target, payloads()["mix"], 64, options.seconds)
            done += len(load.acknowledged)
            while len(steps) < min(_STEPS, done * _STEPS // requests):
                steps.append(receiver.process.cost().memory_mib)
                say(f"ingest: {done:,} requests, {steps[-1]:.0f} MiB")
        return Held("ingest", done, steps)


def _loader(rows: int) -> Held:
    with (
        services.running("kafka") as (broker, folder),
        services.running("clickhouse", on=cores.MEASURED) as (engine, _),
        cores.on(cores.OTHERS),
    ):
        say(f"loader: writing {rows:,} records")
        records.pour(broker.kafka, rows)
        return Held("loader", rows, [*_loaded(Loader(broker.kafka, engine.clickhouse_url, folder), rows)])


def _loaded(loader: Loader, rows: int) -> Iterator[float]:
    loader.start(wait=False)
    try:
        for step in range(1, _STEPS + 1):
            wanted = rows * step // _STEPS
            eventually(partial(_has, loader, wanted), _SECONDS_MAX, f"{wanted} rows")
            yield _peak_mib(loader.process.pid)
            say(f"loader: {wanted:,} rows, {_resident_mib(loader.process.pid):.0f} MiB")
    finally:
        loader.stop()


def _has(loader: Loader, rows: int) -> bool:
    return loader.metric("tapline_warehouse_rows_total") >= rows


def _resident_mib(pid: int) -> float:
    return float(psutil.Process(pid).memory_info().rss / _MEBIBYTE)


def _peak_mib(pid: int) -> float:
    """Return the peak memory of a process. Source: proc_pid_status(5)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024
