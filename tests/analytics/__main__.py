"""A month of 1,000,000 events, loaded and computed independently: `python -m tests.analytics [--events N]`.

On a stack of its own: Kafka, ClickHouse and loader; events go to Kafka as ingest writes them, in random
order, 5% of them twice, 3% after all others. `--replay` loads all of them from Kafka again and compares
again. Exit status 0: every view is equal, to the last digit; 1: it names those that differ.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from tests.analytics.compare import difference
from tests.analytics.expected import VIEWS
from tests.analytics.posted import bodies, rows
from tests.support.stack import ROOT, Stack
from tests.support.warehouse import NOW_MS, Loader, Sender, Tables

_TOGETHER = 10_000
_PREFIX = "month-"


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.analytics")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--apps", type=int, default=5)
    parser.add_argument("--replay", action="store_true", help="load all once more, and compare again")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tapline-analytics-") as folder:
        stack = Stack(Path(folder) / "data", "kafka,clickhouse").start()
        env = {"WAREHOUSE_BATCH_AGE_SECONDS_MAX": "10"}  # each batch touches all days, in all tables
        loader = Loader(stack.kafka, stack.clickhouse_url, Path(folder), env)
        try:
            sender = Sender(stack.kafka)
            loader.start()
            tables = Tables(stack.clickhouse_url)
            events = _loaded(sender, tables, arguments)
            differing = _differing(tables, events)
            if arguments.replay:
                _replay(stack)
                differing += _differing(tables, events)
            return 1 if differing else 0
        finally:
            loader.stop()
            stack.stop()


def _loaded(sender: Sender, tables: Tables, arguments: argparse.Namespace) -> pl.DataFrame:
    posted = bodies(arguments.events, _PREFIX, arguments.apps)
    events = rows(posted)
    print(f"{len(posted):,} bodies of {len(events):,} events", flush=True)
    began = time.monotonic()
    for start in range(0, len(posted), _TOGETHER):
        sender.events(*posted[start : start + _TOGETHER])
    tables.wait("SELECT count() FROM tapcart.events", len(events), 1800)
    print(f"loaded in {time.monotonic() - began:.0f} s", flush=True)
    return events


def _replay(stack: Stack) -> None:
    """Load Kafka's events again, beside the existing rows."""
    sent_on = datetime.fromtimestamp(NOW_MS / 1000, UTC).date()
    period = ["--from", str(sent_on), "--to", str(sent_on + timedelta(days=1))]
    env = stack.env | {"KAFKA_BOOTSTRAP_SERVERS": stack.kafka, "CLICKHOUSE_URL": stack.clickhouse_url}
    subprocess.run([sys.executable, "-m", "consumers.replay", *period], cwd=ROOT, env=env, check=True)


def _differing(tables: Tables, events: pl.DataFrame) -> int:
    """Return how many views differ; print each difference, and the time to read all of the view."""
    differing = 0
    for view, expected in VIEWS.items():
        began = time.monotonic()
        tables.run(f"SELECT * FROM tapcart.{view} FORMAT Null")
        seconds = time.monotonic() - began
        wanted = expected(events)
        found = difference(tables, view, _PREFIX, wanted)
        differing += bool(found)
        print(found or f"{view}: {len(wanted):,} rows are equal, read in {seconds:.2f} s", flush=True)
    return differing


if __name__ == "__main__":
    sys.exit(main())
