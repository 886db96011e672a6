"""Checkouts of Tapline -> the CPU of ingest per request in each, beside other receivers.

    git clone --branch v1.0 . /tmp/before
    .venv/bin/python -m tests.bench.compare_trees before=/tmp/before after=.

A change is judged by the ratio within a round, because other load on the machine changes all figures alike.
CPU is that of the process's clock, in nanoseconds (clock_getcpuclockid(3)). The last case posts while
Kafka is stopped, so events go to the spool.
"""

import argparse
import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from runtime.kafka import topics
from tests.bench import cores, receiving, services
from tests.bench.contender import Contender
from tests.bench.load import closed
from tests.bench.payloads import Payload, payloads, template
from tests.bench.receiving import Receiver
from tests.bench.report import Spread, say, spread, table
from tests.support.process import SAMPLES
from tests.support.stack import Stack
from tests.support.topic import end_offsets
from tests.support.waiting import eventually

_OTHERS = ("limit", "passthrough batched", "usual", "benthos")
_CASES = (("AppOpened", 64), ("PurchaseCompleted", 64), ("mix", 64), ("rejected", 64), ("AppOpened", 1))
_SPOOLED = ("spooled", 64)
_AWAY_SECONDS = 3.0  # until ingest notices that Kafka does not answer
_MICRO = 1e6

_Case = tuple[str, int]  # payload, connections


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table per case."""
    parser = argparse.ArgumentParser(prog="tests.bench.compare_trees", description=__doc__)
    parser.add_argument("trees", nargs="+", metavar="name=folder", help="checkouts; the first is the base")
    parser.add_argument("--rounds", type=int, default=6, help="(default: 6)")
    parser.add_argument("--seconds", type=float, default=1.5, help="of each figure (default: 1.5)")
    given = parser.parse_args(arguments)
    trees = {name: Path(folder).resolve() for name, _, folder in (one.partition("=") for one in given.trees)}
    others = [name for name in receiving.names(builds=True) if name in _OTHERS]
    with (
        services.running("kafka") as (stack, folder),
        cores.on(cores.OTHERS),
        _running(stack, folder, trees) as own,
        receiving.running(stack.kafka, folder, others) as rest,
    ):
        for line in _lines(_measure(stack, own, rest, given.rounds, given.seconds), next(iter(trees))):
            say(line)


@contextmanager
def _running(stack: Stack, folder: Path, trees: dict[str, Path]) -> Iterator[dict[str, Receiver]]:
    with ExitStack() as stop:
        found = {}
        for name, tree in trees.items():
            made = receiving.ingest(name, stack.kafka, folder, tree)
            stop.callback(made.process.stop)
            found[name] = made
        eventually(partial(end_offsets, stack.kafka, topics.EVENTS))
        yield found


def _measure(
    stack: Stack, own: dict[str, Receiver], rest: dict[str, Receiver], rounds: int, seconds: float
) -> dict[_Case, dict[str, list[float]]]:
    sent = payloads()
    sent["rejected"] = Payload("rejected", [template(SAMPLES / "AppOpened.json", timestamp="1")])
    sent["spooled"] = sent["AppOpened"]
    everybody = own | rest
    found: dict[_Case, dict[str, list[float]]] = {}
    for receiver in everybody.values():
        closed(receiver.target, sent["mix"], 64, seconds)  # warm
    for case in (*_CASES, _SPOOLED):
        shown = everybody if case[0] in payloads() else own
        if case == _SPOOLED:
            os.kill(stack.pid("kafka"), signal.SIGSTOP)
            for receiver in own.values():
                closed(receiver.target, sent["AppOpened"], 8, _AWAY_SECONDS)
        for number in range(rounds):
            for name in (*shown,)[:: -1 if number % 2 else 1]:
                figure = _cpu_per_request(shown[name], sent[case[0]], case[1], seconds)
                found.setdefault(case, {}).setdefault(name, []).append(figure)
    os.kill(stack.pid("kafka"), signal.SIGCONT)
    return found


def _cpu_per_request(receiver: Receiver, payload: Payload, connections: int, seconds: float) -> float:
    before = _cpu_seconds(receiver.process)
    load = closed(receiver.target, payload, connections, seconds)
    return (_cpu_seconds(receiver.process) - before) / len(load.latencies)


def _cpu_seconds(process: Contender) -> float:
    return time.clock_gettime((~process.pid << 3) | 2)  # CPUCLOCK_SCHED


def _lines(found: dict[_Case, dict[str, list[float]]], base: str) -> Iterator[str]:
    for (payload, connections), by_name in found.items():
        yield from ("", f"**{payload}, {connections} connections**", "")
        rows = {name: spread(figures) for name, figures in by_name.items()}
        names = [name for name in (base, "benthos") if name in rows]
        header = ("receiver", "CPU per request, us", *(f"to {name}" for name in names))
        yield from table(
            header, [_row(name, row, [rows[one] for one in names]) for name, row in rows.items()]
        )


def _row(name: str, row: Spread, bases: Sequence[Spread]) -> list[str]:
    scaled = spread(value * _MICRO for value in row.values)
    return [name, scaled.text(), *(row.ratio(base).text(2) for base in bases)]


if __name__ == "__main__":
    main()
