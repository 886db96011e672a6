"""Events as Parquet in a bucket or a folder, one object for each type, app and day: for a daily timer.

`python -m consumers.archive --to s3://bucket/prefix [--days N | --from DATE --until DATE] [--app-id ID]`.
Days are of the events' own time, in UTC. Without dates, the last N complete days (3) are archived. Later
events are in the objects once their day is archived again, which overwrites them. A bucket's login is in the
variables of its own tools (`AWS_ACCESS_KEY_ID`, ...); `file:///folder` needs none.

Exit status: 0 done, 2 ClickHouse or the bucket failed; all else: see `runtime.command`.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from consumers.warehouse.archiver import ArchivedDays, Archiver, object_store
from consumers.warehouse.errors import FAILURES
from consumers.warehouse.settings import Settings
from consumers.warehouse.tables import tables
from runtime import command
from runtime.kafka.audit import audited
from schemas.catalog.schema_reloader import strict_reloader


def main(arguments: Sequence[str]) -> int:
    """Run the command in `arguments`; return the exit status. Raises: TransientError, SettingsError."""
    to, days = _options(arguments)
    settings = Settings.from_env(os.environ)
    reloader = strict_reloader(settings.schemas_dir, settings.schema_registry)
    store = object_store(to)
    archiver = Archiver(settings.clickhouse_url.get_secret_value(), store, tables(reloader.catalog))
    with audited(settings.kafka, "archive", f"events from {days.start} until {days.end}") as outcome:
        outcome.count = 0
        for part in archiver.archive(days):
            outcome.count += 1
            sys.stderr.write(f"{part.path}\n")
    sys.stdout.write(f"{outcome.count} objects\n")
    return 0


def _options(arguments: Sequence[str]) -> tuple[str, ArchivedDays]:
    parser = argparse.ArgumentParser(
        prog="tapline archive", description="Write events as Parquet, one object for each type, app and day."
    )
    parser.add_argument("--to", required=True, metavar="URL", help="s3://, gs://, az:// or file:///folder")
    parser.add_argument("--days", type=int, metavar="N", help="the last N complete days; default: 3")
    parser.add_argument("--from", dest="start", type=date.fromisoformat, metavar="DATE", help="from this day")
    parser.add_argument("--until", type=date.fromisoformat, metavar="DATE", help="until this day, exclusive")
    parser.add_argument("--app-id", default="", metavar="ID", help="only this app")
    options = parser.parse_args(arguments)
    if (options.start is None) != (options.until is None) or (options.start and options.days is not None):
        parser.error("give either --days, or --from and --until")
    until = options.until or datetime.now(UTC).date()
    start = options.start or until - timedelta(days=3 if options.days is None else options.days)
    if start >= until:
        parser.error("there is no day to archive")
    return options.to, ArchivedDays(start, until, options.app_id)


if __name__ == "__main__":
    command.main("could not archive", main, FAILURES)
