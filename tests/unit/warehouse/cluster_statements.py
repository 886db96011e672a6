"""Every statement that the warehouse sends to a cluster: `python -m tests.unit.warehouse.cluster_statements`.

It writes those of one table of each kind to cluster.sql beside this file, each ended by a line `;`. Queries
that only read are among them where they name the cluster.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from consumers.warehouse import removals, replicas, table_changes, views
from consumers.warehouse.analytics import views as analytics
from consumers.warehouse.analytics import visits
from consumers.warehouse.privacy import retention
from consumers.warehouse.tables import AUDIT_TRAIL, LOG, REPLAYS, Options, Table, creations, tables, target
from runtime.kafka import topics
from schemas.catalog.columns import JSON
from tests.support.warehouse import CATALOG

FILE = Path(__file__).parent / "cluster.sql"
OPTIONS = Options(cluster="prod", ttl_days=400, ttl_days_by_table={"quarantine": 30})
END = "\n;\n"
_ONE_OF_EACH_KIND = {
    "product_viewed",
    "unmodelled",
    "clickstream",
    "quarantine",
    REPLAYS.name,
    AUDIT_TRAIL.name,
}
_OF_AN_OLDER_VERSION = "ReplicatedReplacingMergeTree('path', '{replica}', _loaded_at) SETTINGS a = 1"


def statements(found: Sequence[Table]) -> Iterator[str]:
    """Yield the statements for these tables, in the order of a loader's start, then those of its commands."""
    yield from creations(found, OPTIONS)
    yield from _changes(found)
    yield from views.views(found, OPTIONS)
    names = visits.sources(found)
    yield from visits.removals([visits.feeder(names[0])], OPTIONS)
    yield from visits.creations(names, OPTIONS)
    yield from _inserts(found)
    yield visits.days()
    yield visits.filling(20260131, OPTIONS)
    yield visits.marking(OPTIONS, filled=True)
    yield from (statement for _, statement in analytics.statements([table.name for table in found], OPTIONS))
    yield removals.removal("unmodelled", "20260131", "event_type = 'Wished'", OPTIONS)
    yield removals.rewriting("product_viewed", "sipHash64(device_id) IN (1, 2)", OPTIONS)
    yield removals.unfinished(OPTIONS)
    yield from replicas.statements(["product_viewed"], OPTIONS)
    yield retention.tables(OPTIONS)


def _inserts(found: Sequence[Table]) -> Iterator[str]:
    """Yield the loader's and move-out's insert into each table, which in truth have rows behind them."""
    for table in found:
        stored = [column for column in table.columns if not column.materialized]
        loaded = [column.name for column in stored if not column.default]
        yield f"INSERT INTO {target(table, loaded, OPTIONS)} FORMAT Avro"
        yield f"INSERT INTO {target(table, [column.name for column in stored], OPTIONS)} FORMAT Native"


def _changes(found: Sequence[Table]) -> Iterator[str]:
    """Yield the statements for tables of an older version: two columns less, no setting of ours, old JSON."""
    existing = {
        table.name: {
            column.name: "JSON" if column.type == JSON else column.type
            for column in table.columns
            if column not in (LOG, table.columns[1])
        }
        for table in found
    }
    engines = {f"{table.name}_local": _OF_AN_OLDER_VERSION for table in found}
    logs = {topics.EVENTS: 7, topics.QUARANTINE: 8}
    yield from (sql for _, sql in table_changes.changes(found, existing, engines, logs, OPTIONS))


def text() -> str:
    """Return the file's text."""
    some = [table for table in tables(CATALOG) if table.name in _ONE_OF_EACH_KIND]
    return "".join(f"{statement.strip()}{END}" for statement in statements(some))


if __name__ == "__main__":
    FILE.write_text(text())
