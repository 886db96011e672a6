"""A stack and the posts that it acknowledged -> complaints: anything of the people, anything lost of others.

Rows are searched by SQL of its own, files as bytes, Kafka's own topics record by record, and the analytics
views are compared with rows computed from the posts.
"""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pyarrow.parquet as pq

from runtime.kafka import topics
from tests.analytics.compare import difference
from tests.analytics.expected import VIEWS
from tests.analytics.posted import rows
from tests.faults.erasing.people import CLICKSTREAM, EVENTS, QUARANTINE, Post
from tests.faults.harness.world import World
from tests.support.plain_files import OLD_FILES_SECONDS_MAX, forms, holding, left_after
from tests.support.topic import messages_since
from tests.support.warehouse import Tables
from tests.support.web import WEB

_SHOWN_MAX = 5
_FOUND = {
    EVENTS: "SELECT event_id FROM tapcart.events",
    CLICKSTREAM: "SELECT event_id FROM tapcart.clickstream",
    QUARANTINE: "SELECT extract(toValidUTF8(body), 'ev-[0-9]+-[0-9]+-end') FROM tapcart.quarantine",
}
_ANALYTICS = "month-"


class Judge:
    """Searches one stack."""

    def __init__(self, world: World, ids: Collection[str], others: Collection[str]) -> None:
        self._world, self._ids, self._others = world, ids, others

    @property
    def _tables(self) -> Tables:
        return Tables(self._world.stack.clickhouse_url)

    def rows(self, kept: Mapping[bytes, Post], gave_up: Collection[str]) -> Iterator[str]:
        """Yield what is wrong with the tables; `kept`: by body."""
        for view, sql in _FOUND.items():
            found = [str(one) for (one,) in self._tables.rows(sql)]
            shown = set(found)
            own = [post for post in kept.values() if post.view == view]
            back = {post.event_id for post in own if post.is_about} & shown
            lost = {post.event_id for post in own if not post.is_about} - shown
            if back:
                yield f"{view}: {len(back)} posts of erased people, for example {sorted(back)[:_SHOWN_MAX]}"
            if lost:
                yield f"{view}: {len(lost)} posts of others are lost, for example {sorted(lost)[:_SHOWN_MAX]}"
            unknown = (
                {one for one in shown if one.startswith("ev-")}
                - {post.event_id for post in own}
                - set(gave_up)
            )
            if unknown:
                yield f"{view}: {len(unknown)} rows of no post"
            if view != QUARANTINE and len(found) != len(shown):
                yield f"{view}: {len(found) - len(shown)} rows are there twice"
        yield from self._texts()

    def analytics(self, kept: Mapping[bytes, Post]) -> Iterator[str]:
        """Yield the views that differ from what the posts of others say."""
        own = [post.body for post in kept.values() if post.view == "" and not post.is_about]
        expected = rows(own)
        for view, computed in VIEWS.items():
            if found := difference(self._tables, view, _ANALYTICS, computed(expected)):
                yield found

    def files(self) -> Iterator[str]:
        """Yield the files and pages that hold an id, but for the topics of events and the backups."""
        data = self._world.data
        if not any(holding(data / "clickhouse", self._others)):
            yield "the search of ClickHouse's files finds nobody, not even others"
        kafka = data / "kafka" / "log"
        of_events = [one for name in topics.ALL for one in kafka.glob(f"{name}-*")]
        yield from left_after(OLD_FILES_SECONDS_MAX, data, self._ids, [*of_events, data / "backups"])
        if self._world.disk:
            yield from holding(self._world.disk, self._ids)
        for topic in (topics.AUDIT, topics.ERASURES):
            found = messages_since(self._world.stack.kafka, topic, {0: 0})
            text = b"".join((one.key() or b"") + b" " + (one.value() or b"") for one in found)
            yield from (f"{topic}: {one.decode()}" for one in forms(self._ids) if one in text)
        for path in ("/api/snapshot", "/metrics"):
            page = WEB.get(self._world.stack.live_url + path).content
            yield from (f"{path}: {one.decode()}" for one in forms(self._ids) if one in page)

    def parquet(self, folder: Path, kept: Mapping[bytes, Post]) -> Iterator[str]:
        """Yield what is wrong with the files of the Parquet example."""
        found: list[str] = []
        for path in sorted(folder.rglob("*.parquet")):
            table = pq.read_table(path, columns=["event_id", "event"])
            found += table["event_id"].to_pylist()
            texts = "\n".join(table["event"].to_pylist())
            yield from (f"{path.name}: {one}" for one in self._ids if one in texts)
        lost = {one.event_id for one in kept.values() if not one.is_about and one.view != QUARANTINE}
        if missing := lost - set(found):
            yield f"parquet: {len(missing)} events of others are lost, for example {sorted(missing)[:3]}"

    def _texts(self) -> Iterator[str]:
        """Yield the tables in which any text column holds an id."""
        columns = self._tables.rows(
            "SELECT table, groupArray(name) FROM system.columns WHERE database = 'tapcart_raw'"
            " AND type LIKE '%String%' AND default_kind NOT IN ('ALIAS') AND table IN (SELECT name FROM"
            " system.tables WHERE database = 'tapcart_raw' AND engine LIKE '%MergeTree') GROUP BY table"
        )
        needles = ", ".join(f"'{one}'" for one in self._ids)
        for table, names in columns:
            listed = ", ".join(f"toString(`{name}`)" for name in names)
            sql = f"multiSearchAny(concatWithSeparator('\\n', '', {listed}), [{needles}])"
            if count := self._tables.one(f"SELECT count() FROM tapcart_raw.`{table}` WHERE {sql}"):
                yield f"tapcart_raw.{table}: {count} rows hold an id"
