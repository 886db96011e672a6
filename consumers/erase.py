"""Erases people: their rows leave ClickHouse, and what Kafka still holds of them never comes back.

`python -m consumers.erase --device-id ID --shopify-user-id ID --session-id ID [--app-id ID]`, each id any
number of times; `--ids-file FILE` (`-`: standard input) has thousands, one a line: the kind, a blank, the id.
`--dry-run` only counts. Ids linked to these are shown, and erased with `--follow`. With
INGEST_REDACT_KEY_FILE, the hashes of the ids count too. `--restored` needs no ids: after a restore, it erases
everybody again whose tombstone is in the topic. `--carry-from HOST:PORT` copies the tombstones of the Kafka
of a one-machine stack, before another one replaces it.

First a tombstone for each id goes to the topic `tapcart.erasures`, then the rows are deleted, so a run that
is killed at any line is finished by the next. A tombstone is a hash by the key in ERASURE_KEY_FILE. It stops
events of before the erasure; later ones of the same id are a new matter. See deploy/privacy.md.

Exit status: 0 nothing is left, 1 something is left or may come, because the loader stands still, 2 it failed;
all else: see `runtime.command`.
"""

import argparse
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import chain

from consumers.kit.erasures.erased_ids import ID_COLUMNS, IdHashes
from consumers.kit.erasures.follower import STALE_SECONDS_MAX, ErasureFollower
from consumers.kit.errors import TransientError
from consumers.kit.record import Place
from consumers.warehouse.errors import FAILURES
from consumers.warehouse.load.wiring import LoaderParts
from consumers.warehouse.privacy import options as people_options
from consumers.warehouse.privacy import tombstone_carrier, tombstone_writer
from consumers.warehouse.privacy.eraser import Eraser
from consumers.warehouse.privacy.held_rows import HeldRows, RowCounts
from consumers.warehouse.privacy.people import People
from consumers.warehouse.privacy.restored_ids import restored
from consumers.warehouse.privacy.row_filter import RowFilter
from consumers.warehouse.repair.offset_reader import OffsetReader, PartitionOffsets
from consumers.warehouse.repair.reconciliation import Reconciliation
from consumers.warehouse.settings import Settings
from runtime import command, secret_key
from runtime.environment import SettingsError
from runtime.kafka import topics
from runtime.kafka.audit import ActionOutcome, audited
from runtime.printable import printable
from runtime.retry import RetryPolicy, retrying
from schemas.catalog.schema_reloader import strict_reloader
from schemas.codec.redaction import hashing

_SHOWN_MAX = 20
_ROUNDS_MAX = 3  # of deleting: a batch may have been on its way to ClickHouse
_PAUSE_SECONDS_MAX, _ATTEMPTS_MAX = 5.0, 5
_FILES = "ClickHouse deletes the old files within 15 minutes (old_parts_lifetime, max_cleanup_delay_period)"
_NOT_COVERED = "not covered: backups, and what your own consumers keep. Parquet files: examples.parquet_erase"


def main(arguments: Sequence[str]) -> int:
    """Run the command in `arguments`; return the exit status. Raises: TransientError, SettingsError."""
    options, given = _options(arguments)
    settings = Settings.from_env(os.environ)
    if options.carry_from:
        return _carry(settings, options.carry_from)
    if options.restored:
        return 1 if erase_again(settings) else 0
    key = b"" if options.dry_run else _key(settings)
    with audited(settings.kafka, "erase", _detail(options, given)) as outcome:  # a dry run shows ids, too
        return _find_and_erase(settings, options, given, IdHashes(key), outcome)


def _find_and_erase(
    settings: Settings, options: argparse.Namespace, given: People, hashes: IdHashes, outcome: ActionOutcome
) -> int:
    held = HeldRows(settings.clickhouse_url.get_secret_value())
    people = _with_hashes(given, settings)
    linked = held.linked(held.filter_of(people, only_id_columns=True), people)
    _say(_linked_lines(linked, is_followed=options.follow))
    if options.follow:
        ids = {kind: (*people.ids.get(kind, ()), *sorted(linked[kind])) for kind in ID_COLUMNS}
        given = replace(given, ids=ids)
        people = _with_hashes(given, settings)
        outcome.detail = _detail(options, given)
    until_ms = time.time_ns() // 1_000_000
    found = held.filter_of(people, until_ms=until_ms)
    before = held.counts(found)
    outcome.count = before.total
    _say(f"{table}: {rows} rows" for table, rows in sorted(before.by_table.items()))
    _say([f"{before.total} rows of {sum(map(len, people.ids.values()))} ids"])
    if options.dry_run:
        _say(["nothing is erased; this was a dry run"])
        return 0
    goes_on = _stop_readers(settings, hashes, people, until_ms, options.wait)
    left = _erase(settings, held, found, before)
    _say(_outcome(left, _kafka_line(settings)))
    if not goes_on:
        _say(["the loader stands still, and may be inserting theirs: run this again once it goes on"])
    return 0 if goes_on and not left.total else 1


def _carry(settings: Settings, servers: str) -> int:
    """Copy another Kafka's tombstones to this one; return the exit status."""
    with audited(settings.kafka, "erase", f"tombstones carried over from {servers}") as outcome:
        reader = OffsetReader({"bootstrap.servers": servers}, settings.group, (topics.ERASURES,))
        with closing(reader):
            records = chain.from_iterable(reader.records(reader.everything()))
            outcome.count = tombstone_carrier.carry(records, settings.kafka)
    _say([f"{outcome.count} tombstones are copied"])
    return 0


def erase_again(settings: Settings) -> int:
    """Delete the rows of erased people that a restore has brought back; return how many are left.

    Raises: TransientError; SettingsError or ErasureError without the key of their tombstones.
    """
    erased = _retry()(ErasureFollower(settings.kafka, settings.group, settings.erasure_key).current)
    if erased.is_empty:
        _say(["nobody was erased"])
        return 0
    held = HeldRows(settings.clickhouse_url.get_secret_value())
    rows = left = 0
    with audited(settings.kafka, "erase", "everybody again, after a restore") as outcome:
        for at_ms, people in restored(held, erased):
            found = held.filter_of(people, until_ms=at_ms)
            before = held.counts(found)
            rows += before.total
            left += _erase(settings, held, found, before).total
        outcome.count = rows
    _say([f"{rows} rows of erased people were back", f"{left} rows are left"])
    return left


def _stop_readers(
    settings: Settings, hashes: IdHashes, people: People, until_ms: int, seconds_max: float
) -> bool:
    """Write the tombstones, and wait until every reader of events knows them.

    Return whether the loader has inserted what it was about to insert: then it has caught up, or gone on.
    """
    tombstones = [
        hashes.tombstone(kind, one, until_ms, people.app_id)
        for kind, ids in people.ids.items()
        for one in dict.fromkeys(ids)
    ]
    _retry()(tombstone_writer.ensure_topic, settings.kafka)
    _retry()(tombstone_writer.write, settings.kafka, tombstones, hashes.key_id)
    _say([f"{len(tombstones)} tombstones are in Kafka"])
    # A reader that has not read the topic for this long does not go on.
    threading.Event().wait(STALE_SECONDS_MAX)
    # What it was inserting meanwhile is inserted once its offsets are committed.
    begun = OffsetReader(settings.kafka, settings.group).logs()
    reloader = strict_reloader(settings.schemas_dir, settings.schema_registry)
    logs = Reconciliation(settings, reloader).wait(seconds_max)
    if lag := sum(max(0, log.high - max(log.committed, log.low)) for log in logs.values()):
        _say([f"the loader is {lag} records behind; it will not load theirs"])
    return goes_on(begun, logs)


def goes_on(begun: Mapping[Place, PartitionOffsets], logs: Mapping[Place, PartitionOffsets]) -> bool:
    """Return whether every partition of `logs` is loaded, or the loader has committed there since `begun`."""
    return all(
        log.committed >= log.high or (place in begun and log.committed > begun[place].committed)
        for place, log in logs.items()
    )


def _erase(settings: Settings, held: HeldRows, found: RowFilter, left: RowCounts) -> RowCounts:
    """Delete the rows until none is left, some rounds at most; return the counts of rows left."""
    eraser = Eraser(settings.clickhouse_url.get_secret_value(), held, settings.table_options)
    if not eraser.visits_are_filled:
        reloader = strict_reloader(settings.schemas_dir, settings.schema_registry)
        LoaderParts(settings, reloader).flusher.make_tables()
    for _ in range(_ROUNDS_MAX):
        eraser.erase(found, left.by_table)
        left = held.counts(found)
        if not left.total:
            break
    return left


def _detail(options: argparse.Namespace, people: People) -> str:
    return f"dry run: {people.kinds}" if options.dry_run else people.kinds


def _outcome(left: RowCounts, kafka: str) -> Iterator[str]:
    yield f"{left.total} rows are left"
    if left.later:
        yield f"{left.later} rows of the same ids are from after this erasure, and stay"
    yield from (kafka, _FILES, _NOT_COVERED)


def _kafka_line(settings: Settings) -> str:
    retention_ms = tombstone_writer.retention_ms(settings.kafka)
    if retention_ms is None:
        return "Kafka keeps its copies for as long as its topics say; nothing loads them again"
    if retention_ms < 0:
        return "Kafka keeps its copies for ever (retention.ms=-1); nothing loads them again"
    until = datetime.now(UTC) + timedelta(milliseconds=retention_ms)
    return f"Kafka keeps its copies until {until:%Y-%m-%d} or a segment longer; nothing loads them again"


def _linked_lines(linked: Mapping[str, set[str]], *, is_followed: bool) -> Iterator[str]:
    words = "linked, and followed" if is_followed else "linked, and not erased without --follow"
    for kind, ids in linked.items():
        shown = ", ".join(printable(one) for one in sorted(ids)[:_SHOWN_MAX])
        more = f" and {len(ids) - _SHOWN_MAX} more" if len(ids) > _SHOWN_MAX else ""
        if ids:
            yield f"{words}: {kind} {shown}{more}"


def _retry() -> RetryPolicy:
    return retrying(TransientError, _PAUSE_SECONDS_MAX, attempts_max=_ATTEMPTS_MAX)


def _with_hashes(people: People, settings: Settings) -> People:
    if settings.redact_key_file is None:
        return people
    return people.with_hashes(hashing(secret_key.read("INGEST_REDACT_KEY_FILE", settings.redact_key_file)))


def _key(settings: Settings) -> bytes:
    key = settings.erasure_key
    if key is None:
        raise SettingsError(
            "ERASURE_KEY_FILE: needed. Make a key, and give the same to the loader and to your consumers: "
            "(umask 077 && openssl rand -hex 32 > erasure.key)"
        )
    return key


def _options(arguments: Sequence[str]) -> tuple[argparse.Namespace, People]:
    parser = argparse.ArgumentParser(prog="tapline erase", description="Erase people for good.")
    people_options.add(parser)
    people_options.add_file(parser)
    parser.add_argument("--follow", action="store_true", help="erase the linked ids too")
    parser.add_argument("--dry-run", action="store_true", help="only count the rows")
    parser.add_argument(
        "--wait", type=float, default=30, metavar="SECONDS", help="wait this long for the loader at most (30)"
    )
    parser.add_argument(
        "--restored", action="store_true", help="after a restore: erase everybody again who was erased before"
    )
    parser.add_argument(
        "--carry-from", metavar="HOST:PORT", help="copy the tombstones of the stack's Kafka to another Kafka"
    )
    options = parser.parse_args(arguments)
    ids = {} if options.restored or options.carry_from else people_options.ids(parser, options)
    return options, People(ids, options.app_id)


def _say(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


if __name__ == "__main__":
    command.main("could not erase", main, FAILURES)
