"""One ingest and one loader, then two of each, on this machine -> nothing lost, and the gain in throughput.

Invariants: every acknowledged event is in ClickHouse by its id, once, whichever process received and loaded
it; each of two does a part of both. Work counts from the first POST until all events can be queried. Where
processes outnumber cores, two can't do twice as much: load, broker and ClickHouse work too.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from tests.bench import cores, services
from tests.bench.load import Target, closed
from tests.bench.options import Options
from tests.bench.payloads import Payload, template
from tests.bench.report import Section, say, spread, table
from tests.support.process import SAMPLES, Ingest
from tests.support.stack import Stack
from tests.support.waiting import eventually
from tests.support.warehouse import Loader, Tables

_APPS = 48  # enough for each loader to own some
_CONNECTIONS = 32  # to each ingest
_SECONDS = 1.0, 5.0, 10.0  # of a smoke run, a usual one, a long one
_LOADED_SECONDS_MAX = 300.0
_BATCH_SECONDS = "0.5"  # an operator's value, not that of tests


class LostError(AssertionError):
    """An acknowledged event is in no table, or one of two processes did nothing."""


def run(options: Options) -> Section:
    """Measure one and two of each. Raises: LostError."""
    seconds = options.pick(*_SECONDS)
    # A smoke run tries two of each only.
    rates: dict[int, list[float]] = {2: []} if options.smoke else {1: [], 2: []}
    with services.running("kafka,clickhouse", on=cores.ALL) as (stack, folder):
        for number in range(1, options.rounds + 1):
            for count, found in rates.items():
                found.append(_work(stack, folder / f"{number}-{count}", count, seconds))
                say(f"round {number} of {options.rounds}: {count} of each: {found[-1]:,.0f} events/s")
    one, two = (spread(found) for found in (rates.get(1, rates[2]), rates[2]))
    words = f"No event lost, on {os.cpu_count()} cores, on which load, broker and engine work too."
    row = ["events/s from POST to row", one.text(), two.text(), two.ratio(one).text(2)]
    return Section("two", "Two of each", words, [], table(("", "one", "two", "ratio"), [row]))


def _work(stack: Stack, folder: Path, count: int, seconds: float) -> float:
    """Return events per second, posted to that many and loaded by that many processes."""
    folder.mkdir()
    tables = Tables(stack.clickhouse_url)
    apps = [f"{folder.name}-{number}" for number in range(_APPS)]
    payload = Payload("apps", [template(SAMPLES / "ProductViewed.json", app_id=app) for app in apps])
    with (
        _ingests(stack, folder, count) as ingests,
        _loaders(stack, folder, count) as loaders,
        ThreadPoolExecutor(count) as pool,
    ):
        targets = [Target(ingest.port, "/tapcart_webhooks/secret-of-the-tests") for ingest in ingests]
        post = partial(closed, payload=payload, connections=_CONNECTIONS, seconds=seconds)
        began = time.monotonic()
        loads = list(pool.map(post, targets))
        acknowledged = {event_id for load in loads for event_id in load.acknowledged}
        _wait_loaded(tables, folder.name, acknowledged)
        rate = len(acknowledged) / (time.monotonic() - began)
        work = [len(load.acknowledged) for load in loads]
        work += [int(loader.metric("tapline_warehouse_rows_total")) for loader in loaders]
    if not all(work):
        raise LostError(f"one of {count} did nothing: acknowledged, then loaded {work}")
    return rate


@contextmanager
def _ingests(stack: Stack, folder: Path, count: int) -> Iterator[list[Ingest]]:
    ingests = [Ingest(stack.kafka, folder / f"ingest-{number}") for number in range(count)]
    try:
        for ingest in ingests:
            ingest.folder.mkdir()
            ingest.start()
        yield ingests
    finally:
        for ingest in ingests:
            ingest.stop()


@contextmanager
def _loaders(stack: Stack, folder: Path, count: int) -> Iterator[list[Loader]]:
    env = {"WAREHOUSE_BATCH_AGE_SECONDS_MAX": _BATCH_SECONDS}
    loaders = [Loader(stack.kafka, stack.clickhouse_url, folder, env).start() for _ in range(count)]
    try:
        for loader in loaders:
            # It knows the lag of its own partitions.
            eventually(partial(_owns, loader), 60, "a loader's first partition")
        yield loaders
    finally:
        for loader in loaders:
            loader.stop()


def _owns(loader: Loader) -> bool:
    return "tapline_warehouse_lag_records{" in loader.get("/metrics")[1]


def _wait_loaded(tables: Tables, prefix: str, acknowledged: set[bytes]) -> None:
    ids = f"SELECT event_id FROM tapcart.product_viewed WHERE startsWith(app_id, '{prefix}-')"
    expected = len(acknowledged)
    try:
        eventually(
            lambda: bool(tables.one(f"SELECT count() FROM ({ids})") >= expected), _LOADED_SECONDS_MAX, "rows"
        )
    except AssertionError:
        say("not all events were loaded in time")
    found = tables.run(ids).encode().split()
    if missing := acknowledged - set(found):
        raise LostError(f"{len(missing)} of {expected} acknowledged events are in no table")
    if len(found) != expected:
        raise LostError(f"{len(found)} rows of {expected} events")
