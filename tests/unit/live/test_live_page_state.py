"""The state of the page after polls."""

from math import isnan

from msgspec.structs import replace

from consumers.live.answers import (
    ClickHouseStatus,
    Day,
    KafkaStatus,
    Mark,
    PartitionPosition,
    RedactedEvent,
    Today,
    Total,
)
from consumers.live.intake import IngestStatus, SpoolStatus
from consumers.live.metrics import Metrics
from consumers.live.page_state import ALL, PageState
from consumers.live.state import (
    CLICKHOUSE,
    INGEST,
    KAFKA,
    LIVE,
    WAREHOUSE,
    Component,
    ComponentHealth,
)

NOW = 1_000_000


def page_state() -> PageState:
    """Return the state of a page with all components."""
    return PageState(ALL, NOW, 1000)


def component(at: PageState, name: str) -> Component:
    """Return one component's state."""
    return next(one for one in at.state(NOW).components if one.name == name)


def log(next_offset: int = 10, *, loaders: int = 1, oldest_ms: int | None = None) -> KafkaStatus:
    """Return a poll of a topic with ten records."""
    return KafkaStatus((PartitionPosition("tapcart.events", 0, next_offset, 10),), loaders, oldest_ms, NOW)


def intake(oldest_ms: int | None, records: int = 3) -> IngestStatus:
    """Return a poll of ingest."""
    return IngestStatus("accepts events", SpoolStatus(records if oldest_ms else 0, 0, 1, oldest_ms, NOW), NOW)


def day(end_ms: int, events: int) -> ClickHouseStatus:
    """Return ClickHouse's count of the day up to a moment."""
    return ClickHouseStatus(day=Day(0, end_ms, events, 0, 0, NOW))


def test_nothing_is_known_before_the_first_look() -> None:
    """Unknown is neither up nor zero; but the page itself is up."""
    state = page_state().state(NOW)

    assert {one.health for one in state.components if one.name != LIVE} == {ComponentHealth.UNKNOWN}
    assert component(page_state(), LIVE).health is ComponentHealth.UP
    assert (state.total, state.lag, state.balance, state.freshness.age_ms) == (None, None, None, None)


def test_nothing_waiting_is_fresh() -> None:
    """Freshness is zero if every record is loaded and no spool holds one."""
    at = page_state()
    at.saw(KAFKA, log(), NOW)
    at.saw(INGEST, intake(None), NOW)

    assert at.state(NOW + 500).freshness.age_ms == 0


def test_freshness_is_the_age_of_the_oldest_waiting_record() -> None:
    """At the time of the poll: a moment later the record may be loaded."""
    at = page_state()
    at.saw(KAFKA, log(7, oldest_ms=NOW - 4000), NOW)
    state = at.state(NOW + 500)

    assert state.freshness.age_ms == 4000
    assert state.lag
    assert state.lag.records == 3


def test_freshness_is_not_known_when_the_record_could_not_be_read() -> None:
    """Something waits for an unknown time, which is not zero."""
    at = page_state()
    at.saw(KAFKA, log(7), NOW)

    assert at.state(NOW).freshness.age_ms is None


def test_freshness_counts_what_waits_on_ingests_disk() -> None:
    """The older of the two decides; while Kafka is down, the spool's age is still known."""
    at = PageState((INGEST, KAFKA, WAREHOUSE), NOW, 1000)
    at.saw(INGEST, intake(NOW - 9000), NOW)

    assert at.state(NOW).freshness.age_ms == 9000
    at.saw(KAFKA, log(7, oldest_ms=NOW - 4000), NOW)
    assert at.state(NOW).freshness.age_ms == 9000
    at.saw(INGEST, intake(None), NOW)
    assert at.state(NOW).freshness.age_ms == 4000


def test_freshness_says_when_it_was_known() -> None:
    """The time of the older poll of Kafka and ingest: if one hangs, freshness is outdated."""
    at = page_state()
    at.saw(INGEST, intake(None), NOW)
    before = at.state(NOW).freshness.as_of_ms
    at.saw(KAFKA, log(), NOW)
    seen = at.state(NOW + 60_000).freshness
    at.lost(INGEST, "does not answer", NOW)
    without_ingest = at.state(NOW).freshness
    at.saw(INGEST, intake(None), NOW)
    at.lost(KAFKA, "does not answer", NOW)

    assert before is None
    assert (seen.age_ms, seen.as_of_ms) == (0, NOW)
    assert (without_ingest.age_ms, without_ingest.as_of_ms) == (None, None)
    assert at.state(NOW).freshness.as_of_ms is None


def test_freshness_is_not_known_without_ingest() -> None:
    """Its spool may hold the oldest event; Kafka's oldest is a lower bound."""
    at = page_state()
    at.saw(KAFKA, log(), NOW)
    unknown = at.state(NOW).freshness.age_ms
    at.saw(KAFKA, log(7, oldest_ms=NOW - 4000), NOW)

    assert unknown is None
    assert at.state(NOW).freshness.age_ms == 4000


def test_a_lag_of_earlier_is_no_metric() -> None:
    """The page shows it with its time; a metric without a time would look current."""
    at, metrics = page_state(), Metrics()
    at.saw(KAFKA, log(7), NOW)
    metrics.show(at.state(NOW), at.tables)
    before = metrics.lag._value.get()
    at.lost(KAFKA, "does not answer", NOW)
    metrics.show(at.state(NOW), at.tables)

    assert before == 3
    assert isnan(metrics.lag._value.get())


def test_deletion_threatens_only_where_kafka_deletes() -> None:
    """A young topic of which nothing is loaded yet has time."""
    at, metrics = page_state(), Metrics()
    young = PartitionPosition("tapcart.events", 0, 0, 10)
    old = PartitionPosition("tapcart.events", 1, 6, 10, 2)
    lost = PartitionPosition("tapcart.events", 1, 6, 10, 7)
    found = []
    for partitions in ((young,), (young, old), (lost,)):
        at.saw(KAFKA, KafkaStatus(partitions, 1, NOW, NOW), NOW)
        metrics.show(at.state(NOW), at.tables)
        found.append(metrics.unloaded_ratio._value.get())

    assert found == [0.0, 0.5, 4 / 3]


def test_problems_of_topics_are_those_that_ingest_found() -> None:
    """As text; None until ingest has checked them."""
    at = page_state()
    before = at.state(NOW).topic_problems
    at.saw(INGEST, replace(intake(None), topic_problems=("tapcart.events has one replica",)), NOW)

    assert before is None
    assert at.state(NOW).topic_problems == ("tapcart.events has one replica",)


def test_freshness_of_a_page_without_ingest_is_kafkas() -> None:
    """If LIVE_INGEST_URL is not set."""
    at = PageState(tuple(name for name in ALL if name != INGEST), NOW, 1000)
    at.saw(KAFKA, log(), NOW)

    assert at.state(NOW).freshness.as_of_ms == NOW


def test_freshness_is_not_known_without_kafka() -> None:
    """An old answer is not freshness; lag keeps its last numbers."""
    at = page_state()
    at.saw(KAFKA, log(), NOW)
    at.lost(KAFKA, "does not answer", NOW)
    state = at.state(NOW)

    assert state.freshness.age_ms is None
    assert state.lag
    assert component(at, WAREHOUSE).health is ComponentHealth.UNKNOWN


def test_a_group_without_members_is_a_loader_that_is_down() -> None:
    """Kafka knows whether the loader runs."""
    at = page_state()
    at.saw(KAFKA, log(loaders=0), NOW)

    assert component(at, WAREHOUSE).health is ComponentHealth.DOWN


def test_a_component_keeps_the_time_its_health_changed() -> None:
    """`since` is the time of the change, not of the last poll."""
    at = page_state()
    at.lost(CLICKHOUSE, "does not answer", NOW + 1)
    at.lost(CLICKHOUSE, "refused", NOW + 2)

    assert component(at, CLICKHOUSE) == Component(CLICKHOUSE, ComponentHealth.DOWN, "refused", NOW + 1)
    at.saw(CLICKHOUSE, ClickHouseStatus(), NOW + 3)
    assert component(at, CLICKHOUSE).since_ms == NOW + 3


def test_numbers_stay_while_their_component_is_away() -> None:
    """With their time."""
    at = page_state()
    at.saw(CLICKHOUSE, ClickHouseStatus(total=Total(5, NOW, NOW)), NOW)
    at.lost(CLICKHOUSE, "does not answer", NOW + 9000)

    assert at.state(NOW + 9000).total == Total(5, NOW, NOW)


def test_a_day_counts_once_kafka_has_counted_up_to_the_same_moment() -> None:
    """Counts of two moments never mix; until there is a newer pair, the older one stays."""
    at = page_state()
    at.saw(KAFKA, KafkaStatus((), 1, None, NOW, Today(0, 12, (Mark(8, 10, 0),))), NOW)
    at.saw(CLICKHOUSE, day(8, 9), NOW)
    paired = at.state(NOW).balance
    at.saw(CLICKHOUSE, day(10, 11), NOW)
    unpaired = at.state(NOW).balance

    assert paired
    assert (paired.clickhouse, paired.repeats, paired.under_way) == (9, 1, 2)
    assert unpaired == paired


def test_what_waits_on_disk_is_acknowledged() -> None:
    """Also while Kafka is down."""
    at = page_state()
    at.saw(KAFKA, KafkaStatus((), 1, None, NOW, Today(0, 10, (Mark(8, 10, 0),))), NOW)
    at.saw(CLICKHOUSE, day(8, 10), NOW)
    at.lost(KAFKA, "does not answer", NOW)
    at.saw(INGEST, intake(NOW - 9000, records=7), NOW)
    found = at.state(NOW).balance

    assert found
    assert (found.acknowledged, found.spooled) == (17, 7)


def test_a_query_that_costs_too_much_is_no_outage() -> None:
    """ClickHouse answers; the page shows which number is old, and why."""
    at = page_state()
    at.saw(CLICKHOUSE, ClickHouseStatus(troubles={"day": "takes too long"}), NOW)

    assert component(at, CLICKHOUSE).health is ComponentHealth.UP
    assert component(at, CLICKHOUSE).detail == "answers, but not to all queries: day takes too long"
    assert at.state(NOW).troubles == {"day": "takes too long"}


def test_the_share_of_inserts_is_shown() -> None:
    """An operator sees how near the loader is to WAREHOUSE_INSERT_SHARE_MAX."""
    at = page_state()
    at.saw(CLICKHOUSE, ClickHouseStatus(insert_share=0.123), NOW)

    assert component(at, CLICKHOUSE).detail == "answers; inserts take 12% of the time"


def test_only_the_newest_events_are_found() -> None:
    """The page's memory is limited; SQL has the rest."""
    at = page_state()
    events = tuple(RedactedEvent(f"0-{n}", n, n, "AppOpened", "app", "d", b"{}") for n in range(20, 0, -1))
    at.saw(KAFKA, KafkaStatus((), 1, None, NOW, None, events), NOW)

    assert [one.key for one in at.state(NOW).newest] == [f"0-{n}" for n in range(20, 5, -1)]
    assert at.event("0-1") == events[-1]
    assert at.event("0-99") is None
