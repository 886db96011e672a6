"""Replays quarantined bodies, types untyped rows, or reloads the tables from Kafka.

`python -m consumers.replay --where "<SQL condition>" [--dry-run]` replays the rows of `tapcart.quarantine`
that match the condition and were not replayed before. Bodies rejected by ingest are posted to ingest and
checked by today's rules; records rejected by the loader are loaded again. Accepted rows are marked
(`replayed_at`); the others stay, with the new reason. Repeating or killing a replay is safe: events sent
twice are deduplicated.

`python -m consumers.replay --untyped [--event-type TYPE] [--dry-run]` fills the columns of untyped events
after `python -m schemas add` released a schema for them: see `consumers.warehouse.repair.retype`. It first
waits, up to a limit, until ingest uses that release and the loader has loaded everything received before.

`python -m consumers.replay --from DATE --to DATE` reloads the events that Kafka received between the two
dates (UTC, the second exclusive) and types them like `--untyped`. Committed offsets do not move.

Exit status: 0 all done, 1 some rows stay, 2 the replay failed; all else: see `runtime.command`.
"""

import argparse
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from consumers.kit import ingest_state
from consumers.kit.errors import TransientError
from consumers.warehouse.errors import FAILURES
from consumers.warehouse.load.wiring import LoaderParts
from consumers.warehouse.repair.offset_reader import OffsetReader
from consumers.warehouse.repair.reconciliation import Reconciliation
from consumers.warehouse.repair.replayer import (
    IngestAccess,
    QuarantineRow,
    QuarantineTable,
    Replayer,
    RowFailedError,
)
from consumers.warehouse.repair.retype import Retyper, UntypedRows, sources, together
from consumers.warehouse.settings import Settings
from runtime import command
from runtime.kafka.audit import audited
from runtime.printable import printable
from runtime.retry import RetryPolicy, retrying
from runtime.waiting import wait_until
from schemas.catalog.schema_reloader import SchemaReloader, strict_reloader

_ATTEMPTS_MAX = 8
_PAUSE_SECONDS_MAX = 5.0
_FAILED_MAX = 3  # consecutive rows that ingest fails to answer; then the rows are not to blame
# Waits before typing rows: for ingest to use the new release, and for the loader to load earlier events.
_USED_SECONDS_MAX, _WAIT_SECONDS_MAX = 10.0, 60.0
_CHECK_SECONDS = 0.2
_SCHEMAS = re.compile(r"^tapline_ingest_schemas ([0-9.]+)$", re.MULTILINE)
# Rows marked together; the next run repeats rows that were posted but not marked.
_MARKED_TOGETHER = 500


_Done = tuple[int, int]  # how many, and the exit status


def replay(settings: Settings, access: IngestAccess, where: str) -> _Done:
    """Replay the matching rows. Raises: TransientError, SettingsError."""
    quarantine = QuarantineTable(settings.clickhouse_url.get_secret_value())
    parts = LoaderParts(settings, strict_reloader(settings.schemas_dir, settings.schema_registry))
    replayer = Replayer(parts, access, parts.erasures)
    put_back = _putting_back(replayer)
    placed = 0
    for some in _together(quarantine.rows(where)):
        hashes = [row.body_hash for row in some if put_back(row)]
        if hashes:
            _retry()(quarantine.mark, hashes, datetime.now(UTC))
        placed += len(hashes)
        print(f"{placed} put back, {replayer.stays.total()} stay", file=sys.stderr)
    print(f"{placed} put back, {replayer.stays.total()} stay")
    for reason, count in replayer.stays.most_common():
        print(f"  {count}: {printable(reason)}")
    return placed, 1 if replayer.stays else 0


def _putting_back(replayer: Replayer) -> Callable[[QuarantineRow], bool]:
    """Return a function that replays a row, with retries.

    It raises RowFailedError if several rows in a row fail, since then the rows are not to blame.
    """
    retry, failed = _retry(), 0

    def put_back(row: QuarantineRow) -> bool:
        nonlocal failed
        try:
            is_placed = retry(replayer.put_back, row)
        except RowFailedError as error:
            failed += 1
            if failed == _FAILED_MAX:
                raise
            replayer.stays[str(error)] += 1
            return False
        failed = 0
        return is_placed

    return put_back


def reload(settings: Settings, start: datetime, end: datetime) -> _Done:
    """Reload the records that Kafka received between two moments. Raises: TransientError."""
    kafka = OffsetReader(settings.kafka, settings.group)
    logs = kafka.topic_ids().logs
    ranges = kafka.received(round(start.timestamp() * 1000), round(end.timestamp() * 1000))
    records = sum(one.end - one.start for one in ranges)
    done = 0
    parts = LoaderParts(settings, strict_reloader(settings.schemas_dir, settings.schema_registry))
    for count in parts.load(kafka.records_side_by_side(ranges), logs):
        done += count
        print(f"{done} of about {records} records loaded", file=sys.stderr)
    kafka.close()
    print(f"{done} records reloaded")
    _, status = _give_columns(settings, None)
    return done, status


def untyped(settings: Settings, access: IngestAccess, event_type: str | None) -> _Done:
    """Type untyped rows. Raises: TransientError."""
    reloader = strict_reloader(settings.schemas_dir, settings.schema_registry)
    if not _is_used(access, len(reloader.catalog.releases)):
        print("ingest does not use all releases yet: repeat this once it does", file=sys.stderr)
    Reconciliation(settings, reloader).wait(_WAIT_SECONDS_MAX)
    return _give_columns(settings, event_type)


def _dry_run(settings: Settings, options: argparse.Namespace) -> int:
    """Print what would be replayed. Raises: TransientError, SettingsError."""
    if options.where is not None:
        rows_found = QuarantineTable(settings.clickhouse_url.get_secret_value()).rows(options.where)
        found = Counter((row.source, row.reason) for row in rows_found)
        for (source, reason), rows in found.most_common():
            print(f"{rows} rows rejected by {printable(source)}: {printable(reason)}")
        print(f"{found.total()} rows would be replayed; this was a dry run")
        return 0
    reloader = strict_reloader(settings.schemas_dir, settings.schema_registry)
    untyped = _untyped(settings, reloader)
    for one in sources(reloader.catalog, options.event_type):
        if rows := sum(untyped.days(one).values()):
            print(f"{one.event_type}: {rows} rows of {one.table} would be typed")
    return 0


def _give_columns(settings: Settings, event_type: str | None) -> _Done:
    reloader = strict_reloader(settings.schemas_dir, settings.schema_registry)
    untyped = _untyped(settings, reloader)
    written: Counter[UntypedRows] = Counter()
    refused: Counter[str] = Counter()
    for source in sources(reloader.catalog, event_type):
        for days in together(untyped.days(source)):
            report = _retry()(untyped.move, source, days)
            written[source] += report.written
            refused += report.refused
            print(f"{source.event_type}: {days[0]} to {days[-1]} done", file=sys.stderr)
    _retry()(untyped.wait)
    for source, rows in (+written).items():
        words = f"moved out of {source.table}" if source.moves else f"of {source.table} typed"
        print(f"{source.event_type}: {rows} rows {words}")
    for reason, count in refused.most_common():
        print(f"  {count} stay: {printable(reason)}")
    return written.total(), 1 if refused else 0


def _untyped(settings: Settings, reloader: SchemaReloader) -> Retyper:
    parts = LoaderParts(settings, reloader)
    parts.flusher.make_tables()
    return Retyper(parts, settings)


def _is_used(access: IngestAccess, releases: int) -> bool:
    """Return whether every ingest process uses this many releases, waiting up to a limit."""

    def is_used() -> bool:
        found = [_SCHEMAS.search(text) for text in ingest_state.metrics(access.admins())]
        return all(one and float(one[1]) >= releases for one in found)

    try:
        return wait_until(is_used, _USED_SECONDS_MAX, _CHECK_SECONDS)
    except ingest_state.IngestAwayError:
        return False


def _retry() -> RetryPolicy:
    return retrying(TransientError, _PAUSE_SECONDS_MAX, attempts_max=_ATTEMPTS_MAX)


def main(arguments: Sequence[str]) -> int:
    """Run the command in `arguments`; return the exit status. Raises: TransientError, SettingsError."""
    options = _options(arguments)
    settings, access = Settings.from_env(os.environ), IngestAccess.from_env(os.environ)
    if options.dry_run:
        return _dry_run(settings, options)
    with audited(settings.kafka, "replay", _named(options)) as outcome:
        if options.untyped:
            outcome.count, status = untyped(settings, access, options.event_type)
        elif options.where is None:
            outcome.count, status = reload(settings, options.start, options.end)
        else:
            outcome.count, status = replay(settings, access, options.where)
    return status


def _named(options: argparse.Namespace) -> str:
    """Return what is replayed; not the condition, which may hold ids."""
    if options.untyped:
        return f"untyped {options.event_type or 'events'}"
    if options.where is None:
        return f"received from {options.start.isoformat()} to {options.end.isoformat()}"
    return "the quarantine"


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tapline replay", description="Replay quarantined events, type untyped rows, or reload tables."
    )
    parser.add_argument("--where", metavar="SQL", help="condition on tapcart.quarantine; 1 means all rows")
    parser.add_argument("--untyped", action="store_true", help="fill columns that schemas have gained")
    parser.add_argument("--event-type", metavar="TYPE", help="with --untyped: only rows of this type")
    parser.add_argument("--dry-run", action="store_true", help="only count the rows")
    parser.add_argument(
        "--from", dest="start", type=_moment, metavar="DATE", help="reload from this date, UTC"
    )
    parser.add_argument(
        "--to", dest="end", type=_moment, metavar="DATE", help="reload up to this date, exclusive"
    )
    options = parser.parse_args(arguments)
    ways = (options.where is not None, options.untyped, options.start is not None)
    if sum(ways) != 1 or (options.start is None) != (options.end is None):
        parser.error("give either --where, or --untyped, or --from and --to")
    if options.dry_run and options.start is not None:
        parser.error("--dry-run is for --where and --untyped")
    return options


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _together(rows: Iterator[QuarantineRow]) -> Iterator[list[QuarantineRow]]:
    while some := list(islice(rows, _MARKED_TOGETHER)):
        yield some


if __name__ == "__main__":
    command.main("could not replay", main, FAILURES)
