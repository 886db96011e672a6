"""Proves that every Kafka record has its place in ClickHouse, or lists missing records.

`python -m consumers.reconcile [--repair] [--json] [--wait SECONDS]`, with the loader's environment, and
INGEST_ADMIN_URL for ingest's own counters. Which rows count as a place: see
`consumers.warehouse.repair.reconciliation`; how gaps are found: reconcile.sql. `--repair` loads missing
records as the loader does.

Exit status: 0 nothing is missing, 1 records are missing, 2 the check failed; all else: see `runtime.command`.
"""

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import chain
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from consumers.kit import ingest_state
from consumers.warehouse.errors import FAILURES
from consumers.warehouse.repair.offset_reader import OffsetRange
from consumers.warehouse.repair.reconciliation import PartitionCounts, Reconciliation, ReconciliationReport
from consumers.warehouse.repair.replayer import IngestAccess
from consumers.warehouse.settings import Settings
from runtime import command
from runtime.kafka.audit import audited
from runtime.printable import printable
from schemas.catalog.schema_reloader import strict_reloader

_COUNTS = ("rows", "merged", "quarantined", "erased", "expired", "empty", "missing")
_NAME_CHARS_MAX = 32  # width of the event type column
_TYPES_MAX = 200
_NOTE = "kafka: records it still has; raw: rows, including old versions not merged yet; view: events"


def main(arguments: Sequence[str]) -> int:
    """Reconcile, print the report, and return the exit status. Raises: TransientError, SettingsError."""
    options = _options(arguments)
    settings, access = Settings.from_env(os.environ), IngestAccess.from_env(os.environ)
    accounting = Reconciliation(settings, strict_reloader(settings.schemas_dir, settings.schema_registry))
    logs = accounting.wait(options.wait)
    report = accounting.report(logs, _now_ms())
    if options.repair and report.missing:
        with audited(settings.kafka, "repair", "reconcile --repair") as outcome:
            outcome.count = accounting.repair(report.missing)
        sys.stderr.write(f"loaded {outcome.count} missing records\n")
        # The loader must still load the records that the repair sent to the quarantine.
        logs = accounting.wait(options.wait)
        report = accounting.report(logs, _now_ms())
    types = accounting.types(report, logs)
    received = _received(access.admin_urls)
    lines = [_as_json(report, types, received)] if options.json else _lines(report, types, received)
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 1 if report.missing or report.gone else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tapline reconcile", description="Prove that every Kafka record has its place."
    )
    parser.add_argument("--repair", action="store_true", help="load missing records")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    parser.add_argument(
        "--wait", type=float, default=30, metavar="SECONDS", help="wait at most this long for the loader (30)"
    )
    return parser.parse_args(arguments)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _received(urls: Sequence[str]) -> Counter[str]:
    """Return event type -> events acknowledged since ingest started; empty if unavailable."""
    found: Counter[str] = Counter()
    try:
        texts = ingest_state.metrics(urls)
        families = [*chain.from_iterable(map(text_string_to_metric_families, texts))]
    except (ingest_state.IngestAwayError, ValueError):  # no answer, or not from ingest
        return found
    for family in families:
        for sample in family.samples:
            if sample.name == "tapline_ingest_events_total":
                found[sample.labels["event_type"]] += int(sample.value)
    return found


def _as_json(
    report: ReconciliationReport, types: Mapping[str, tuple[int, int, int]], received: Counter[str]
) -> str:
    partitions = [
        {"topic": topic, "partition": partition, **asdict(counts)}
        for (topic, partition), counts in sorted(report.partitions.items())
    ]
    document: dict[str, Any] = {
        "totals": _totals(report.partitions.values()),
        "missing": [asdict(one) for one in report.missing],
        "gone": [asdict(one) for one in report.gone],
        "partitions": partitions,
        "event_types": {
            name: {"kafka": kafka, "raw": raw, "view": view, "ingest": received.get(name)}
            for name, (kafka, raw, view) in types.items()
        },
    }
    return json.dumps(document, indent=2)


def _lines(
    report: ReconciliationReport, types: Mapping[str, tuple[int, int, int]], received: Counter[str]
) -> Iterable[str]:
    yield f"{'partition':<24}{'low':>10}{'high':>10}{'lag':>7}" + "".join(f"{name:>12}" for name in _COUNTS)
    for (topic, partition), counts in sorted(report.partitions.items()):
        yield (
            f"{f'{topic}/{partition}':<24}{counts.low:>10}{counts.high:>10}{counts.lag:>7}"
            + "".join(f"{getattr(counts, name):>12}" for name in _COUNTS)
        )
    yield ""
    yield from _type_lines(types, received)
    yield ""
    for one in report.missing:
        yield f"missing: {_words(one)}"
    for one in report.gone:
        yield f"missing: {_words(one)}: never loaded, and no longer in Kafka"
    totals = _totals(report.partitions.values())
    counted = ", ".join(f"{totals[name]} {name}" for name in _COUNTS)
    yield f"{totals['offsets']} offsets: {counted}" + (
        "" if report.missing or report.gone else "; nothing is missing"
    )


def _type_lines(types: Mapping[str, tuple[int, int, int]], received: Counter[str]) -> Iterable[str]:
    yield f"{'event type':<34}{'kafka':>10}{'raw':>10}{'view':>10}{'ingest':>10}"
    # Senders choose type names, so only the types with most rows are shown. `--json` lists all.
    frequent = sorted(types, key=lambda name: -types[name][1])[:_TYPES_MAX]
    for name in sorted(frequent):
        counts = "".join(f"{count:>10}" for count in types[name])
        yield f"{printable(name, _NAME_CHARS_MAX):<34}{counts}{received.get(name, '-'):>10}"
    if len(types) > _TYPES_MAX:
        yield f"and {len(types) - _TYPES_MAX} other types"
    yield f"({_NOTE}; ingest: acknowledged since ingest started)"


def _words(one: OffsetRange) -> str:
    count = one.end - one.start
    where = f"offset {one.start}" if count == 1 else f"offsets {one.start} to {one.end - 1} ({count})"
    return f"{one.topic}/{one.partition} {where}"


def _totals(partitions: Iterable[PartitionCounts]) -> Counter[str]:
    totals: Counter[str] = Counter(dict.fromkeys(("offsets", "lag", *_COUNTS), 0))
    for counts in partitions:
        totals["offsets"] += counts.high - counts.low
        for name in ("lag", *_COUNTS):
            totals[name] += getattr(counts, name)
    return totals


if __name__ == "__main__":
    command.main("could not reconcile", main, FAILURES)
