"""What the page says of what was seen."""

from consumers.live.state import (
    CLICKHOUSE,
    INGEST,
    KAFKA,
    LOADER,
    Board,
    Component,
    Health,
    Intake,
    Log,
    Partition,
    Tables,
    Total,
)

NOW = 1_000_000


def board() -> Board:
    """Return a board of all components."""
    return Board((INGEST, KAFKA, LOADER, CLICKHOUSE), NOW, 1000)


def component(at: Board, name: str) -> Component:
    """Return one component's state."""
    return next(one for one in at.state(NOW).components if one.name == name)


def log(next_offset: int = 10, *, loaders: int = 1, oldest_ms: int | None = None) -> Log:
    """Return a look at a topic of ten records."""
    return Log((Partition("tapcart.events", 0, next_offset, 10),), loaders, oldest_ms, NOW)


def test_nothing_is_known_before_the_first_look() -> None:
    """Unknown is neither up nor zero."""
    state = board().state(NOW)

    assert {one.health for one in state.components} == {Health.UNKNOWN}
    assert (state.total, state.lag, state.freshness.age_ms) == (None, None, None)


def test_nothing_waiting_is_fresh() -> None:
    """Freshness is zero when every record is loaded."""
    at = board()
    at.saw(KAFKA, log(), NOW)

    assert at.state(NOW + 500).freshness.age_ms == 0


def test_freshness_is_the_age_of_the_oldest_waiting_record() -> None:
    """When Kafka was asked: a moment later the record may be loaded."""
    at = board()
    at.saw(KAFKA, log(7, oldest_ms=NOW - 4000), NOW)
    state = at.state(NOW + 500)

    assert state.freshness.age_ms == 4000
    assert state.lag
    assert state.lag.records == 3


def test_freshness_is_not_known_when_the_record_could_not_be_read() -> None:
    """Something waits, but since when is not known: that is not zero."""
    at = board()
    at.saw(KAFKA, log(7), NOW)

    assert at.state(NOW).freshness.age_ms is None


def test_freshness_counts_what_waits_on_ingests_disk() -> None:
    """The older of the two decides; while Kafka is away, what is spooled is known all the same."""
    at = Board((INGEST, KAFKA, LOADER), NOW, 1000)
    at.saw(INGEST, Intake("takes events", NOW - 9000, NOW), NOW)

    assert at.state(NOW).freshness.age_ms == 9000
    at.saw(KAFKA, log(7, oldest_ms=NOW - 4000), NOW)
    assert at.state(NOW).freshness.age_ms == 9000
    at.saw(INGEST, Intake("takes events", None, NOW), NOW)
    assert at.state(NOW).freshness.age_ms == 4000


def test_freshness_is_not_known_without_kafka() -> None:
    """An old answer is no freshness; lag keeps its last numbers."""
    at = board()
    at.saw(KAFKA, log(), NOW)
    at.lost(KAFKA, "does not answer", NOW)
    state = at.state(NOW)

    assert state.freshness.age_ms is None
    assert state.lag
    assert component(at, LOADER).health is Health.UNKNOWN


def test_a_group_without_members_is_a_loader_that_is_down() -> None:
    """Kafka knows whether the loader runs."""
    at = board()
    at.saw(KAFKA, log(loaders=0), NOW)

    assert component(at, LOADER).health is Health.DOWN


def test_a_component_keeps_the_time_its_health_changed() -> None:
    """`since` is of the change, not of the last look."""
    at = board()
    at.lost(CLICKHOUSE, "does not answer", NOW + 1)
    at.lost(CLICKHOUSE, "refused", NOW + 2)

    assert component(at, CLICKHOUSE) == Component(CLICKHOUSE, Health.DOWN, "refused", NOW + 1)
    at.saw(CLICKHOUSE, Tables(), NOW + 3)
    assert component(at, CLICKHOUSE).since_ms == NOW + 3


def test_numbers_stay_while_their_component_is_away() -> None:
    """With the time they are of."""
    at = board()
    at.saw(CLICKHOUSE, Tables(total=Total(5, NOW, NOW)), NOW)
    at.lost(CLICKHOUSE, "does not answer", NOW + 9000)

    assert at.state(NOW + 9000).total == Total(5, NOW, NOW)
