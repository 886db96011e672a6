"""Receivers side by side -> requests per second, CPU per request, latency; and whether the goals are met.

One process on one core each; broker and load on the other. Every figure is measured once per round, all
contenders one after the other, so that other load on the machine affects all alike.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import cores, plots, receiving, services
from tests.bench.contender import Contender, python
from tests.bench.load import Load, closed, opened
from tests.bench.options import Options
from tests.bench.payloads import Payload, payloads
from tests.bench.receiving import Receiver
from tests.bench.report import Goal, Section, goal, say, spread, table
from tests.support.topic import end_offsets

_BARE = "bare produce"
_RATES = (1000, 3000, 6000)  # requests/s in open loop
_WARM_SECONDS = 1.0
_MICRO, _MILLI = 1e6, 1e3


@dataclass(frozen=True, slots=True)
class Case:
    """A way to post: over this many connections in closed loop, or at a rate in open loop."""

    payload: str
    connections: int = 0
    rate: int = 0

    def __str__(self) -> str:
        """Describe the case."""
        how = f"{self.connections} connections" if self.connections else f"{self.rate:,}/s, open loop"
        return f"{self.payload}, {how}"


@dataclass(frozen=True, slots=True)
class Figures:
    """One receiver's figures in one round of a case."""

    rate: float  # acknowledged requests/s
    cpu: float  # seconds per request
    p50: float  # seconds
    p99: float
    sending: float  # share of a core used by the load


Measured = dict[Case, dict[str, list[Figures]]]

_MAIN, _SINGLE = Case("AppOpened", 64), Case("AppOpened", 1)
_CLOSED = (_MAIN, Case("PurchaseCompleted", 64), Case("mix", 64), _SINGLE, Case("AppOpened", 256))
_OPENED = tuple(Case("AppOpened", rate=rate) for rate in _RATES)
_SMOKE = (_MAIN, Case("mix", 64), _SINGLE, _OPENED[0])
# In a usual run; a long one measures all receivers in all cases.
_CORE = ("passthrough batched", "benthos", "tapline")
_USUAL = {
    _MAIN: ("limit", "passthrough", "usual", "naive", *_CORE),
    Case("PurchaseCompleted", 64): _CORE,
    Case("mix", 64): _CORE,
    _SINGLE: _CORE,
}


def run(options: Options) -> Section:
    """Measure all receivers. Raises: LostError."""
    names = receiving.names(builds=not options.smoke)
    everybody = dict.fromkeys(_SMOKE if options.smoke else (*_CLOSED, *_OPENED), names)
    cases = everybody if options.smoke or options.long else _USUAL
    names = [name for name in names if any(name in shown for shown in cases.values())]
    with (
        services.running("kafka") as (stack, folder),
        cores.on(cores.OTHERS),
        receiving.running(stack.kafka, folder, names) as receivers,
    ):
        measured, bare = _measure(stack.kafka, folder, receivers, cases, options)
    if not options.smoke:
        values = {name: spread(one.rate for one in found) for name, found in measured[_MAIN].items()}
        title = "Receivers: acknowledged requests/s on one core, from 64 connections"
        plots.bars("receivers", title, "requests/s", values)
    about = f"{options.rounds} rounds of {options.seconds:g} s each; one process on one core each."
    return Section("receivers", "Receivers", about, [*_goals(measured, bare)], [*_lines(measured, bare)])


def _measure(
    kafka: str,
    folder: Path,
    receivers: Mapping[str, Receiver],
    cases: Mapping[Case, Sequence[str]],
    options: Options,
) -> tuple[Measured, list[float]]:
    sent, bare = payloads(), list[float]()
    measured: Measured = {case: {} for case in cases}
    for receiver in receivers.values() if options.warm else ():
        closed(receiver.target, sent["mix"], 64, _WARM_SECONDS)
    for number in range(1, options.rounds + 1):
        for case, shown in cases.items():
            for receiver in (receivers[name] for name in shown if name in receivers):
                if case.rate and receiver.name.startswith("naive"):
                    continue  # it cannot follow any of these rates
                figures = _figures(kafka, receiver, sent[case.payload], case, options)
                measured[case].setdefault(receiver.name, []).append(figures)
                say(f"round {number} of {options.rounds}: {case}: {receiver.name}: {_words(figures)}")
        bare.append(_bare(kafka, folder / f"bare-{number}", options.seconds))
        say(f"round {number} of {options.rounds}: {_BARE}: {bare[-1] * _MILLI:.2f} ms")
    return measured, bare


def _figures(kafka: str, receiver: Receiver, payload: Payload, case: Case, options: Options) -> Figures:
    before = end_offsets(kafka, receiver.topic) if receiver.topic else {}
    cost = receiver.process.cost()
    load = _posted(receiver, payload, case, options.seconds)
    cpu_seconds = receiver.process.cost().cpu_seconds - cost.cpu_seconds
    receiving.check(kafka, receiver, before, load, ids=options.smoke)
    return Figures(
        load.rate,
        cpu_seconds / len(load.acknowledged),
        load.percentile(0.5),
        load.percentile(0.99),
        load.cpu_share,
    )


def _posted(receiver: Receiver, payload: Payload, case: Case, seconds: float) -> Load:
    if case.rate:
        load = opened(receiver.target, payload, case.rate, seconds)
    else:
        load = closed(receiver.target, payload, case.connections, seconds)
    if load.refused or not load.acknowledged:
        raise receiving.LostError(f"{receiver.name}: {case}: answered {dict(load.refused)}")
    return load


def _bare(kafka: str, folder: Path, seconds: float) -> float:
    folder.mkdir()
    env = {"BENCH_KAFKA": kafka, "BENCH_TOPIC": "bench.usual", "BENCH_SECONDS": str(seconds)}
    process = Contender(_BARE, python("tests.bench.receivers.bare"), folder, os.environ | env).start()
    process.wait(seconds + 30)
    return float(process.told())


def _words(figures: Figures) -> str:
    waits = f"p50 {figures.p50 * _MILLI:.2f} ms, p99 {figures.p99 * _MILLI:.2f} ms"
    return f"{figures.rate:,.0f}/s, {figures.cpu * _MICRO:.0f} us of CPU, {waits}"


def _lines(measured: Measured, bare: Sequence[float]) -> Iterator[str]:
    for case, found in measured.items():
        sending = max(figures.sending for rounds in found.values() for figures in rounds)
        yield from (f"**{case}** (the load took {sending:.0%} of the other core at most)", "")
        yield from table(
            ("receiver", "requests/s", "CPU per request, us", "p50, ms", "p99, ms"),
            [_row(name, rounds) for name, rounds in found.items()],
        )
        yield ""
    yield f"{_BARE} with its delivery report: {spread(_all(bare, _MILLI)).text(2)} ms"


def _row(name: str, rounds: Sequence[Figures]) -> list[str]:
    return [
        name,
        spread(one.rate for one in rounds).text(),
        spread(one.cpu * _MICRO for one in rounds).text(),
        spread(one.p50 * _MILLI for one in rounds).text(2),
        spread(one.p99 * _MILLI for one in rounds).text(2),
    ]


def _goals(measured: Measured, bare: Sequence[float]) -> Iterator[Goal]:
    found = measured[_MAIN]
    rates = {name: spread(one.rate for one in rounds) for name, rounds in found.items()}
    cpu = {name: spread(one.cpu for one in rounds) for name, rounds in found.items()}
    p99 = {name: spread(one.p99 for one in rounds) for name, rounds in found.items()}
    for name, least in {"usual": 2.5, "naive": 12, "passthrough": 1.0}.items():
        yield goal(f"requests/s to {name}", rates["tapline"].ratio(rates[name]), least=least)
    yield goal("CPU per request to limit", cpu["tapline"].ratio(cpu["limit"]), most=1.9)
    if "benthos" in found:
        for case in (case for case in _CLOSED[:3] if case in measured):
            own, other = (spread(one.cpu for one in measured[case][name]) for name in ("tapline", "benthos"))
            yield goal(f"CPU per request to benthos, {case.payload}", own.ratio(other), most=1.0)
        yield goal("p99 to benthos", p99["tapline"].ratio(p99["benthos"]), most=1.0)
    single = spread(one.p50 for one in measured[_SINGLE]["tapline"])
    yield goal(f"one connection: p50 to {_BARE}", single.ratio(spread(bare)), most=1.3)


def _all(values: Sequence[float], unit: float) -> Iterator[float]:
    return (value * unit for value in values)
