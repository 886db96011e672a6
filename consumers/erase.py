"""Erases people: their rows leave ClickHouse, and what Kafka still holds of them never comes back.

`python -m consumers.erase --device-id ID --shopify-user-id ID --session-id ID [--app-id ID]`, each id any
number of times; `--ids-file FILE` (`-`: standard input) has thousands, one a line: the kind, a blank, the id.
`--dry-run` only counts. Ids linked to these are shown, and erased with `--follow`. With
INGEST_REDACT_KEY_FILE, the hashes of the ids count too. `--restored` needs no ids: after a restore, it erases
everybody again whose tombstone is in the topic.

First a tombstone for each id goes to the topic `tapcart.erasures`, then the rows are deleted, so a run that
is killed at any line is finished by the next. A tombstone is a hash by the key in ERASURE_KEY_FILE. It stops
events of before the erasure; later ones of the same id are a new matter. See deploy/privacy.md.

Exit status: 0 nothing is left, 1 something is left, 2 it failed; all else: see `runtime.command`.
"""

import argparse
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from consumers.kit.erasures.erased_ids import ID_COLUMNS, IdHashes
from consumers.kit.erasures.follower import STALE_SECONDS_MAX, ErasureFollower
from consumers.kit.errors import TransientError
from consumers.warehouse.errors import FAILURES
from consumers.warehouse.load.wiring import LoaderParts
from consumers.warehouse.privacy import options as people_options
from consumers.warehouse.privacy import tombstone_writer
from consumers.warehouse.privacy.eraser import Eraser
from consumers.warehouse.privacy.held_rows import HeldRows, RowCounts
from consumers.warehouse.privacy.people import People
from consumers.warehouse.privacy.restored_ids import restored
from consumers.warehouse.privacy.row_filter import RowFilter
from consumers.warehouse.repair.reconciliation import Reconciliation
from consumers.warehouse.settings import Settings
from runtime import command, secret_key
from runtime.environment import SettingsError
from runtime.kafka.audit import audited
from runtime.printable import printable
from runtime.retry import RetryPolicy, retrying
from schemas.catalog.schema_reloader import strict_reloader
from schemas.codec.redaction import hashing

_SHOWN_MAX = 20
_ROUNDS_MAX = 3  # of deleting: a batch may have been on its way to ClickHouse
_PAUSE_SECONDS_MAX, _ATTEMPTS_MAX = 5.0, 5
_FILES = "ClickHouse deletes the old files within about 8 minutes (old_parts_lifetime)"
_NOT_COVERED = "not covered: backups, and what your own consumers keep, such as Parquet files"


def main(arguments: Sequence[str]) -> int:
    """Run the command in `arguments`; return the exit status. Raises: TransientError, SettingsError."""
    options, given = _options(arguments)
    settings = Settings.from_env(os.environ)
    held = HeldRows(settings.clickhouse_url.get_secret_value())
    if options.restored:
        with audited(settings.kafka, "erase", "everybody again, after a restore") as outcome:
            outcome.count, rows_left = _erase_again(settings, held)
        return 1 if rows_left else 0
    people = _with_hashes(given, settings)
    linked = held.linked(held.filter_of(people, only_id_columns=True), people)
    _say(_linked_lines(linked, is_followed=options.follow))
    if options.follow:
        ids = {kind: (*people.ids.get(kind, ()), *sorted(linked[kind])) for kind in ID_COLUMNS}
        given = replace(given, ids=ids)
        people = _with_hashes(given, settings)
    until_ms = time.time_ns() // 1_000_000
    found = held.filter_of(people, until_ms=until_ms)
    before = held.counts(found)
    _say(f"{table}: {rows} rows" for table, rows in sorted(before.by_table.items()))
    _say([f"{before.total} rows of {sum(map(len, people.ids.values()))} ids"])
    if options.dry_run:
        _say(["nothing is erased; this was a dry run"])
        return 0
    key = _key(settings)
    with audited(settings.kafka, "erase", given.kinds) as outcome:
        _stop_readers(settings, IdHashes(key), people, until_ms, options.wait)
        left = _erase(settings, held, found, before)
        outcome.count = before.total
    _say(_outcome(left, _kafka_line(settings)))
    return 1 if left.total else 0


def _erase_again(settings: Settings, held: HeldRows) -> tuple[int, int]:
    """Delete the rows that a backup has brought back; return how many there were, and are left."""
    follower = ErasureFollower(settings.kafka, settings.group, _key(settings))
    erased = _retry()(follower.current)
    rows = left = 0
    for at_ms, people in restored(held, erased):
        found = held.filter_of(people, until_ms=at_ms)
        before = held.counts(found)
        rows += before.total
        left += _erase(settings, held, found, before).total
    _say([f"{rows} rows of erased people were back", f"{left} rows are left"])
    return rows, left


def _stop_readers(
    settings: Settings, hashes: IdHashes, people: People, until_ms: int, seconds_max: float
) -> None:
    """Write the tombstones, and wait until every reader of events knows them."""
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
    reloader = strict_reloader(settings.schemas_dir, settings.schema_registry)
    logs = Reconciliation(settings, reloader).wait(seconds_max)
    if lag := sum(max(0, log.high - max(log.committed, log.low)) for log in logs.values()):
        _say([f"the loader is {lag} records behind; it will not load theirs"])


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
    options = parser.parse_args(arguments)
    ids = {} if options.restored else people_options.ids(parser, options)
    return options, People(ids, options.app_id)


def _say(lines: Iterable[str]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()


if __name__ == "__main__":
    command.main("could not erase", main, FAILURES)
