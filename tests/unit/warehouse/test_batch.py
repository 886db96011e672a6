"""Records become rows, batches become due, without Kafka and ClickHouse."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.warehouse.load.batch import Batch, BatchLimits, FlushReason
from consumers.warehouse.load.container import format_of, place_of
from consumers.warehouse.load.schema_bindings import SchemaBindings
from runtime.kafka import record_headers, topics
from schemas.catalog import wire
from tests.support.warehouse import CATALOG, NOW_MS, Message, body, crc, message, value

FORMATS = {release.wire_id: format_of(release) for release in CATALOG.releases}
BINDINGS = SchemaBindings(CATALOG)


def batch(rows: int = 1000, size: int = 1 << 30, age: float = 1.0) -> Batch:
    """Return an empty batch with these limits."""
    return Batch(BatchLimits(rows, size, age), BINDINGS)


def test_empty_batch_is_never_due() -> None:
    """Nothing is inserted, however old the batch is."""
    assert batch(age=0.1).due(1e9) is None


def test_flushes_at_rows_limit() -> None:
    """The row that fills the batch makes it due."""
    filling = batch(rows=2)
    filling.add([message(body())], 0.0, {})
    before = filling.due(0.0)
    filling.add([message(body(), 1)], 0.0, {})

    assert (before, filling.due(0.0), filling.full) == (None, FlushReason.ROWS, True)


def test_flushes_at_bytes_limit() -> None:
    """Bytes are limited too, so that large events do not fill the memory."""
    filling = batch(size=2000)
    filling.add([message(body(timestamp_iso="s" * 3000))], 0.0, {})

    assert (filling.due(0.0), filling.full) == (FlushReason.BYTES, True)


def test_flushes_at_age_limit_of_first_record() -> None:
    """A later record does not delay the first one."""
    filling = batch(age=1.0)
    filling.add([message(body())], 10.0, {})
    filling.add([message(body(), 1)], 10.9, {})

    assert (filling.due(10.99), filling.due(11.0)) == (None, FlushReason.AGE)
    assert filling.seconds_left(10.4) == pytest.approx(0.6)


def test_a_registrys_id_is_not_taken_for_ours() -> None:
    """The header has our own id; the one in the value is our id of another release."""
    data = value(body("AppOpened"))
    other = CATALOG.newest("CartViewed")
    assert other
    sent = wire.prefix(other.wire_id) + data[wire.HEADER_BYTES :]
    headers = [*crc(sent), (record_headers.SCHEMA_REGISTRY, data[: wire.HEADER_BYTES])]
    filling = batch()
    filling.add([Message(sent, headers_=headers)], 0.0, {})

    [group] = filling.groups
    assert (group.form.release.name, group.parts[0]) == ("AppOpened", data[wire.HEADER_BYTES :])
    assert filling.checked == 0
    assert BINDINGS.check(topics.EVENTS, Message(sent, headers_=headers)) == (
        group.form,
        data[wire.HEADER_BYTES :],
    )


def test_groups_rows_by_schema_in_order() -> None:
    """Rows of one schema keep the order of their records."""
    filling = batch()
    filling.add(
        [message(body("AppOpened"), 5), message(body("CartViewed"), 6), message(body("AppOpened"), 7)],
        0.0,
        {},
    )
    places = {group.form.table: [place_of(head)[2] for head in group.parts[1::2]] for group in filling.groups}

    assert places == {"app_opened": [5, 7], "cart_viewed": [6]}


def test_body_is_taken_as_it_is() -> None:
    """A row is the value without its wire prefix, plus log, partition, offset and timestamp."""
    sent = message(body(), offset=123_456_789, partition=11)
    filling = batch()
    filling.add([sent], 0.0, {topics.EVENTS: 2**31 - 1, topics.QUARANTINE: 8})
    row, head = filling.groups[0].parts

    assert sent.value_ is not None
    assert row == sent.value_[wire.HEADER_BYTES :]
    assert place_of(head) == (2**31 - 1, 11, 123_456_789, NOW_MS)
    assert filling.checked == 0


def test_rows_have_the_log_that_they_were_read_from() -> None:
    """Also if the topic is another one by the time of the insert; refusals of two logs have none."""
    filling, bad = batch(), Message(b"junk")
    filling.add([message(body()), bad], 0.0, {topics.EVENTS: 7})
    before = filling.logs
    filling.add([message(body())], 0.0, {topics.EVENTS: 9})
    heads = filling.groups[0].parts[1::2]

    assert [place_of(head)[0] for head in heads] == [7, 9]
    assert (before, filling.logs) == ({topics.EVENTS: 7}, {})


def test_commits_behind_last_record_of_each_partition() -> None:
    """The next offset is one after the last record, including refused ones."""
    filling = batch()
    filling.add(
        [message(body(), 4, 1), message(body(), 9, 2), Message(None, partition_=1, offset_=5)], 0.0, {}
    )

    assert filling.offsets == {(topics.EVENTS, 1): 6, (topics.EVENTS, 2): 10}


def test_forgets_offsets_of_partitions_taken_away() -> None:
    """We do not commit partitions of another loader; their rows may stay, because duplicates are harmless."""
    filling = batch()
    filling.add([message(body(), 4, 1), message(body(), 9, 2)], 0.0, {})
    filling.forget([(topics.EVENTS, 1), (topics.EVENTS, 7)])

    assert filling.offsets == {(topics.EVENTS, 2): 10}
    assert filling.rows == 2


@pytest.mark.parametrize("place", [0, -1])
def test_checksum_is_found_at_any_place_among_headers(place: int) -> None:
    """Other headers around the checksum do not send a record to the slow path."""
    data = value(body())
    headers = [("event_type", b"AppOpened"), ("x", None)]
    headers.insert(place if place == 0 else len(headers), *crc(data))
    filling = batch()
    filling.add([Message(data, headers_=headers)], 0.0, {})

    assert (filling.rows, filling.checked, len(filling.refusals)) == (1, 0, 0)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["event", "junk", "none", "foreign"])), max_size=30)
)
def test_every_record_is_a_row_or_a_refusal(kinds: list[tuple[int, str]]) -> None:
    """Model: rows and refusals together are the records; offsets are one after the last."""
    good = value(body())
    records = []
    for offset, (partition, kind) in enumerate(kinds):
        data = {"event": good, "junk": b"junk", "none": None, "foreign": good}[kind]
        headers = crc(good) if kind == "event" else None
        records.append(Message(data, partition_=partition, offset_=offset, headers_=headers))
    filling = batch()
    filling.add(records, 0.0, {})
    rows = sum(len(group.parts) // 2 for group in filling.groups)

    assert rows == sum(kind in ("event", "foreign") for _, kind in kinds)
    assert len(filling.refusals) == len(kinds) - rows
    assert filling.rows == len(kinds)
    assert filling.checked == sum(kind != "event" for _, kind in kinds)
    assert filling.offsets == {(topics.EVENTS, p): o + 1 for o, (p, _) in enumerate(kinds)}


def test_a_batch_counts_what_its_rows_cost() -> None:
    """More than the bytes of their bodies; an empty batch waits for its whole age."""
    filling = batch(age=3.0)
    assert filling.seconds_left(1e9) == 3.0

    filling.add([message(body(), n) for n in range(10)], 5.0, {})
    bodies = sum(len(part) for group in filling.groups for part in group.parts[::2])

    assert filling.bytes > bodies + 10 * 100
    assert filling.seconds_left(6.0) == 2.0
