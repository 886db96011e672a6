"""Everything that ClickHouse holds about one person, as JSON Lines.

`python -m consumers.export --device-id ID --shopify-user-id ID --session-id ID [--app-id ID] [--out FILE]`,
each id any number of times. A line is `{"table": ..., "row": {...}}`. Ids in all text columns count: in
`extra`, in unmodelled and clickstream JSON, and in quarantined bodies. With INGEST_REDACT_KEY_FILE, the
hashes of the ids count too. Standard error has the counts, and the ids that occur in the same rows: name
them as well if they are the same person's.

Exit status: 0 done, 2 ClickHouse failed; all else: see `runtime.command`.
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from consumers.warehouse.errors import FAILURES
from consumers.warehouse.privacy import options as people_options
from consumers.warehouse.privacy.held_rows import HeldRows
from consumers.warehouse.privacy.people import People
from consumers.warehouse.settings import Settings
from runtime import command, secret_key
from runtime.kafka.audit import audited
from runtime.printable import printable
from schemas.codec.redaction import hashing

_SHOWN_MAX = 20
_LATER = (
    "Kafka may hold records that are not loaded yet, and holds the loaded ones until their retention ends; "
    "see deploy/privacy.md"
)


def main(arguments: Sequence[str]) -> int:
    """Run the command in `arguments`; return the exit status. Raises: TransientError, SettingsError."""
    options, person = _options(arguments)
    settings = Settings.from_env(os.environ)
    kinds = person.kinds
    if settings.redact_key_file:
        person = person.with_hashes(
            hashing(secret_key.read("INGEST_REDACT_KEY_FILE", settings.redact_key_file))
        )
    held = HeldRows(settings.clickhouse_url.get_secret_value())
    found = held.filter_of(person)
    with audited(settings.kafka, "export", kinds) as outcome, output(options.out) as out:
        counts = _write(held.rows(found), out)
        outcome.count = counts.total()
    sys.stderr.writelines(f"{line}\n" for line in _summary(counts, held.linked(found, person)))
    return 0


@contextmanager
def output(path: Path | None) -> Iterator[BinaryIO]:
    """Open a new file that only its owner can read, or standard output."""
    if path is None:
        yield sys.stdout.buffer
        return
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        try:
            yield file
        except BaseException:
            path.unlink()  # a part of the data must not look like all of it
            raise


def _write(rows: Iterator[tuple[str, bytes]], out: BinaryIO) -> Counter[str]:
    counts: Counter[str] = Counter()
    for table, row in rows:
        out.write(b'{"table":%b,"row":%b}\n' % (msgspec.json.encode(table), row))
        counts[table] += 1
    out.flush()
    return counts


def _summary(counts: Counter[str], linked: Mapping[str, set[str]]) -> Iterator[str]:
    yield from (f"{table}: {rows}" for table, rows in sorted(counts.items()))
    yield f"{counts.total()} rows"
    for kind, ids in linked.items():
        shown = ", ".join(printable(one) for one in sorted(ids)[:_SHOWN_MAX])
        more = f" and {len(ids) - _SHOWN_MAX} more" if len(ids) > _SHOWN_MAX else ""
        if ids:
            yield f"in the same rows, not searched for: {kind} {shown}{more}"
    yield _LATER


def _options(arguments: Sequence[str]) -> tuple[argparse.Namespace, People]:
    parser = argparse.ArgumentParser(
        prog="tapline export", description="Export everything held about one person."
    )
    people_options.add(parser)
    parser.add_argument("--out", type=Path, metavar="FILE", help="a new file; default: standard output")
    options = parser.parse_args(arguments)
    return options, People(people_options.ids(parser, options), options.app_id)


if __name__ == "__main__":
    command.main("could not export", main, FAILURES)
