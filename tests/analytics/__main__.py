"""A month of 1,000,000 events, loaded and computed independently: `python -m tests.analytics [--events N]`.

On a stack of its own: Kafka, engine and loader; events go to Kafka as ingest writes them, in random order,
5% of them twice, 3% after all others. Exit status 0: every view is equal, to the last digit; 1: it tells
which is not.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.analytics.compare import difference
from tests.analytics.expected import VIEWS
from tests.analytics.posted import bodies, rows
from tests.stack import Stack
from tests.warehouse import Loader, Sender, Tables

_TOGETHER = 10_000
_PREFIX = "month-"


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.analytics")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--apps", type=int, default=5)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tapline-analytics-") as folder:
        stack = Stack(Path(folder) / "data", "kafka,clickhouse").start()
        env = {"WAREHOUSE_BATCH_AGE_SECONDS_MAX": "10"}  # each batch touches all days, in all tables
        loader = Loader(stack.kafka, stack.clickhouse_url, Path(folder), env)
        try:
            sender = Sender(stack.kafka)
            loader.start()
            return _checked(sender, Tables(stack.clickhouse_url), arguments)
        finally:
            loader.stop()
            stack.stop()


def _checked(sender: Sender, tables: Tables, arguments: argparse.Namespace) -> int:
    posted = bodies(arguments.events, _PREFIX, arguments.apps)
    events = rows(posted)
    print(f"{len(posted):,} bodies of {len(events):,} events", flush=True)
    began = time.monotonic()
    for start in range(0, len(posted), _TOGETHER):
        sender.events(*posted[start : start + _TOGETHER])
    tables.wait("SELECT count() FROM tapcart.events", len(events), 1800)
    print(f"loaded in {time.monotonic() - began:.0f} s", flush=True)
    differing = 0
    for view, expected in VIEWS.items():
        wanted = expected(events)
        found = difference(tables, view, _PREFIX, wanted)
        differing += bool(found)
        print(found or f"{view}: {len(wanted):,} rows are equal", flush=True)
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main())
