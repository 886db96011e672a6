"""Quarantined bodies -> events after all; untyped rows -> typed ones; Kafka's log -> the tables once more.

`python -m consumers.replay --where "<SQL condition>" [--dry-run]` takes the rows of `tapcart.quarantine` that
the condition finds and that were not replayed yet. What ingest had refused is posted to ingest, whose rules
of today decide; what the loader had refused takes the loader's own path. What passes is marked
(`replayed_at`); what fails stays, with its new reason. Safe to repeat and to kill: identities make duplicates
of what is sent twice.

`python -m consumers.replay --untyped [--event-type TYPE] [--dry-run]` gives what was kept untyped its columns
once `python -m schemas add` released a schema for it: see `consumers.warehouse.repair.retype`. First it
waits, within bounds, until ingest uses that release and the loader has loaded what was received before.

`python -m consumers.replay --from DATE --to DATE` loads what Kafka received from the one (inclusive) to the
other (exclusive, UTC) once more, and types it as `--untyped` does. Committed offsets are not moved.

Exit status: 0 all was put back, 1 something stays, 2 it could not be done.
"""

import argparse
import os
import re
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from consumers.kit import ingest_state
from consumers.kit.errors import TransientError
from consumers.warehouse.errors import TooManyRefusedError
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
from consumers.warehouse.repair.retype import Retyper, sources
from consumers.warehouse.settings import Settings
from runtime.environment import SettingsError
from runtime.printable import printable, printable_lines
from schemas.catalog.catalog import CatalogError
from schemas.catalog.schema_reloader import SchemaReloader
from schemas.catalog.wire_ids import looking_up

_ATTEMPTS_MAX = 8
_FAILED_MAX = 3  # rows one after the other that ingest fails to answer for: then it is not the rows
# Before untyped rows are typed: for ingest to use what was released, for the loader to load what came before.
_USED_SECONDS_MAX, _WAIT_SECONDS_MAX = 10.0, 60.0
_LOOK_SECONDS = 0.2
_SCHEMAS = re.compile(r"^tapline_ingest_schemas ([0-9.]+)$", re.MULTILINE)
# Marked together; what was posted but not marked is posted again by the next run.
_MARKED_TOGETHER = 500


def replay(settings: Settings, access: IngestAccess, where: str, *, dry_run: bool) -> int:
    """Put back what the condition finds; return the exit status. Raises: TransientError, SettingsError."""
    quarantine = QuarantineTable(settings.clickhouse_url.get_secret_value())
    if dry_run:
        found = Counter((row.source, row.reason) for row in quarantine.rows(where))
        for (source, reason), rows in found.most_common():
            print(f"{rows} rows that {printable(source)} refused as {printable(reason)}")
        print(f"{found.total()} rows would be sent again; nothing was")
        return 0
    replayer = Replayer(
        LoaderParts(settings, looking_up(settings.schemas_dir, settings.schema_registry)), access
    )
    put_back = _putting_back(replayer)
    placed = 0
    for some in _together(quarantine.rows(where)):
        hashes = [row.body_hash for row in some if put_back(row)]
        if hashes:
            _again()(quarantine.mark, hashes, datetime.now(UTC))
        placed += len(hashes)
        print(f"{placed} put back, {replayer.stays.total()} stay", file=sys.stderr)
    print(f"{placed} put back, {replayer.stays.total()} stay")
    for reason, count in replayer.stays.most_common():
        print(f"  {count}: {printable(reason)}")
    return 1 if replayer.stays else 0


def _putting_back(replayer: Replayer) -> Callable[[QuarantineRow], bool]:
    """Return what puts a row back, with retries. Raises: RowFailedError, when that is no fault of the row."""
    again, failed = _again(), 0

    def put_back(row: QuarantineRow) -> bool:
        nonlocal failed
        try:
            is_placed = again(replayer.put_back, row)
        except RowFailedError as error:
            failed += 1
            if failed == _FAILED_MAX:
                raise
            replayer.stays[str(error)] += 1
            return False
        failed = 0
        return is_placed

    return put_back


def reload(settings: Settings, start: datetime, end: datetime) -> int:
    """Load what Kafka received between two moments; return the exit status. Raises: TransientError."""
    kafka = OffsetReader(settings.kafka, settings.group)
    ranges = kafka.received(round(start.timestamp() * 1000), round(end.timestamp() * 1000))
    records = sum(one.end - one.start for one in ranges)
    done = 0
    for count in LoaderParts(settings, looking_up(settings.schemas_dir, settings.schema_registry)).load(
        kafka.records(ranges)
    ):
        done += count
        print(f"{done} of about {records} records loaded", file=sys.stderr)
    kafka.close()
    print(f"{done} records loaded once more")
    return _give_columns(settings, None)


def untyped(settings: Settings, access: IngestAccess, event_type: str | None, *, dry_run: bool) -> int:
    """Give untyped rows their columns; return the exit status. Raises: TransientError."""
    current = looking_up(settings.schemas_dir, settings.schema_registry)
    if dry_run:
        untyped = _untyped(settings, current)
        for source in sources(current.catalog, event_type):
            if rows := sum(untyped.days(source).values()):
                print(f"{source.event_type}: {rows} rows of {source.table} would be read again")
        return 0
    if not _is_used(access, len(current.catalog.releases)):
        print("ingest does not tell that it uses all releases: repeat this once it does", file=sys.stderr)
    Reconciliation(settings, current).wait(_WAIT_SECONDS_MAX)
    return _give_columns(settings, event_type)


def _give_columns(settings: Settings, event_type: str | None) -> int:
    current = looking_up(settings.schemas_dir, settings.schema_registry)
    untyped = _untyped(settings, current)
    refused: Counter[str] = Counter()
    for source in sources(current.catalog, event_type):
        written = 0
        for day in untyped.days(source):
            report = _again()(untyped.move, source, day)
            written += report.written
            refused += report.refused
            print(f"{source.event_type}: {day} done", file=sys.stderr)
        if written:
            words = f"moved out of {source.table}" if source.moves else f"of {source.table} read again"
            print(f"{source.event_type}: {written} rows {words}")
    for reason, count in refused.most_common():
        print(f"  {count} stay: {printable(reason)}")
    return 1 if refused else 0


def _untyped(settings: Settings, current: SchemaReloader) -> Retyper:
    parts = LoaderParts(settings, current)
    parts.flusher.make_tables()
    return Retyper(parts, settings)


def _is_used(access: IngestAccess, releases: int) -> bool:
    """Return whether every ingest process uses so many releases, within a bound."""
    deadline = time.monotonic() + _USED_SECONDS_MAX
    while time.monotonic() < deadline:
        try:
            found = [_SCHEMAS.search(text) for text in ingest_state.metrics(access.admins())]
        except ingest_state.IngestAwayError:
            return False
        if all(one and float(one[1]) >= releases for one in found):
            return True
        time.sleep(_LOOK_SECONDS)
    return False


def _again() -> Retrying:
    return Retrying(
        retry=retry_if_exception_type(TransientError),
        wait=wait_random_exponential(0.1, 5),
        stop=stop_after_attempt(_ATTEMPTS_MAX),
        reraise=True,
    )


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say; return the exit status."""
    options = _options(arguments)
    try:
        settings, access = Settings.from_env(os.environ), IngestAccess.from_env(os.environ)
        if options.untyped:
            return untyped(settings, access, options.event_type, dry_run=options.dry_run)
        if options.where is None:
            return reload(settings, options.start, options.end)
        return replay(settings, access, options.where, dry_run=options.dry_run)
    except (SettingsError, CatalogError, TransientError, TooManyRefusedError) as error:
        print(f"could not replay: {printable_lines(error)}", file=sys.stderr)
        return 2


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="replay", description="Put quarantined events back, type untyped rows, or reload tables."
    )
    parser.add_argument("--where", metavar="SQL", help="which rows of tapcart.quarantine; 1 means all")
    parser.add_argument("--untyped", action="store_true", help="give rows columns that schemas have by now")
    parser.add_argument("--event-type", metavar="TYPE", help="with --untyped: rows of this type alone")
    parser.add_argument("--dry-run", action="store_true", help="only count them")
    parser.add_argument("--from", dest="start", type=_moment, metavar="DATE", help="reload from then, UTC")
    parser.add_argument("--to", dest="end", type=_moment, metavar="DATE", help="reload what came before then")
    options = parser.parse_args(arguments)
    ways = (options.where is not None, options.untyped, options.start is not None)
    if sum(ways) != 1 or (options.start is None) != (options.end is None):
        parser.error("give either --where, or --untyped, or --from and --to")
    return options


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _together(rows: Iterator[QuarantineRow]) -> Iterator[list[QuarantineRow]]:
    while some := list(islice(rows, _MARKED_TOGETHER)):
        yield some


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
