"""The spool -> how fast events reach the disk, relative to Kafka; and how fast they reach Kafka from there.

Kafka is stopped (SIGSTOP), events are posted to ingest, and Kafka resumes. When the spool is empty, the topic
is checked for the events acknowledged meanwhile.
"""

import signal
from dataclasses import dataclass
from time import perf_counter

import httpx

from tests.bench import cores, receiving, services
from tests.bench.load import Load, closed
from tests.bench.options import Options
from tests.bench.payloads import payloads
from tests.bench.receiving import Receiver
from tests.bench.report import Section, goal, say, spread, table
from tests.support.stack import Stack
from tests.support.topic import end_offsets
from tests.support.waiting import eventually

_CONNECTIONS = 64
# Of a smoke run, a usual one, a long one: what is spooled takes long enough to drain to be timed.
_SECONDS = 0.3, 2.0, 2.0
_AWAY_SECONDS_MAX = 20.0
_DRAIN_SECONDS_MAX = 120.0


@dataclass(frozen=True, slots=True)
class Figures:
    """One round."""

    direct: float  # events/s while Kafka is there
    spooled: float  # events/s while Kafka is away
    drained: float  # events/s out of the spool, without other traffic
    p99_ms: float  # latency of an answer while Kafka is away


def run(options: Options) -> Section:
    """Measure it. Raises: LostError."""
    with (
        services.running("kafka") as (stack, folder),
        cores.on(cores.OTHERS),
        receiving.running(stack.kafka, folder, ["tapline"]) as receivers,
    ):
        found = []
        for number in range(1, options.rounds + 1):
            found.append(_round(stack, receivers["tapline"], options))
            one = found[-1]
            words = (
                f"{one.direct:,.0f}/s with Kafka, {one.spooled:,.0f}/s without, drained {one.drained:,.0f}/s"
            )
            say(f"round {number} of {options.rounds}: {words}")
    direct, spooled = spread(one.direct for one in found), spread(one.spooled for one in found)
    drained = spread(one.drained for one in found)
    about = f"{options.rounds} rounds; AppOpened, {_CONNECTIONS} connections; one process on one core."
    goals = [
        goal("acknowledged/s without Kafka to with it", spooled.ratio(direct), least=0.5),
        goal("drained/s to acknowledged/s without Kafka", drained.ratio(spooled), least=2.0),
    ]
    lines = [
        *table(
            ("spool", "events/s"),
            [
                ["acknowledged with Kafka", direct.text()],
                ["acknowledged without, fsynced", spooled.text()],
                ["drained", drained.text()],
            ],
        ),
        "",
        f"p99 of an answer while Kafka is away: {spread(one.p99_ms for one in found).text(1)} ms",
    ]
    return Section("spool", "Spool", about, goals, lines)


def _round(stack: Stack, receiver: Receiver, options: Options) -> Figures:
    before = end_offsets(stack.kafka, receiver.topic)
    seconds = options.pick(*_SECONDS)
    direct = _post(receiver, seconds)
    stack.kill("kafka", signal.SIGSTOP)
    try:
        _post(receiver, 0.1)  # until these are given up, answers take seconds
        eventually(
            lambda: _metric(receiver, "tapline_ingest_kafka_direct") == 0, _AWAY_SECONDS_MAX, "the spool"
        )
        spooled = _post(receiver, seconds * 2)
        records = _metric(receiver, "tapline_ingest_spooled_records_total")
        drained = _metric(receiver, "tapline_ingest_drained_records_total")
    finally:
        stack.kill("kafka", signal.SIGCONT)
    eventually(
        lambda: _metric(receiver, "tapline_ingest_drained_records_total") > drained,
        _DRAIN_SECONDS_MAX,
        "draining",
    )
    began, first = perf_counter(), _metric(receiver, "tapline_ingest_drained_records_total")
    eventually(
        lambda: _metric(receiver, "tapline_ingest_spool_bytes") == 0, _DRAIN_SECONDS_MAX, "an empty spool"
    )
    seconds = perf_counter() - began
    receiving.check(stack.kafka, receiver, before, _both(direct, spooled), ids=options.smoke)
    return Figures(direct.rate, spooled.rate, (records - first) / seconds, spooled.percentile(0.99) * 1e3)


def _post(receiver: Receiver, seconds: float) -> Load:
    load = closed(receiver.target, payloads()["AppOpened"], _CONNECTIONS, seconds)
    if load.refused:
        raise receiving.LostError(f"{receiver.name} answered {dict(load.refused)}")
    return load


def _both(one: Load, other: Load) -> Load:
    return Load(acknowledged=one.acknowledged + other.acknowledged)


def _metric(receiver: Receiver, name: str) -> float:
    text = httpx.get(f"http://{receiver.target.host}:{receiver.admin_port}/metrics", timeout=10).text
    return next(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(f"{name} "))
