"""Until when ingest has delivered, and where the topic ends: a snapshot of both, or none."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from consumers.kit import client, ingest_state, topic_ends
from consumers.kit.received_until import DeliverySnapshot
from consumers.kit.topic_ends import TopicEnds
from runtime.kafka import topics
from tests.support.waiting import eventually
from tests.unit.kit.test_ingest_state import process

_ENDS = {(topics.EVENTS, 0): 7, (topics.EVENTS, 1): 7}


class _Kafka:
    """A consumer of a topic with two partitions that end at 7."""

    def __init__(self) -> None:
        self.is_away = False
        self.calls: list[str] = []

    def list_topics(self, name: str, **_: Any) -> Any:
        """Return the topic."""
        self.calls.append("Kafka")
        if self.is_away:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT))
        return SimpleNamespace(topics={name: SimpleNamespace(error=None, partitions={0: None, 1: None})})

    def offsets_for_times(self, places: Sequence[Any], **_: Any) -> list[Any]:
        """Return the ends."""
        return [SimpleNamespace(topic=p.topic, partition=p.partition, offset=7, error=None) for p in places]

    def close(self) -> None:
        """Do nothing."""


@contextmanager
def running(kafka: _Kafka, monkeypatch: pytest.MonkeyPatch) -> Iterator[TopicEnds]:
    """Yield the thread under test, which queries without a pause."""
    monkeypatch.setattr(client, "consumer", lambda *_: kafka)
    monkeypatch.setattr(topic_ends, "_ASK_SECONDS", 0.005)
    ends = TopicEnds({"bootstrap.servers": "127.0.0.1:1"}, "group", (topics.EVENTS,))
    try:
        yield ends
    finally:
        ends.close()


def url(port: int) -> str:
    """Return the address of an ingest process."""
    return f"http://127.0.0.1:{port}"


def test_the_slowest_ingest_process_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """What one of them has not delivered is still to come."""
    with (
        running(_Kafka(), monkeypatch) as ends,
        process(delivered_until_ms=9_000) as first,
        process(delivered_until_ms=5_000) as second,
    ):
        [*_, last] = eventually(lambda: ends.snapshots([url(first), url(second)]))

        assert last == DeliverySnapshot(5_000, _ENDS)
        assert ends.now() == _ENDS


def test_ingest_is_queried_before_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise an event delivered in between would lie behind the end, and count as read."""
    kafka = _Kafka()
    ask = ingest_state.ask

    def noted(urls: Sequence[str]) -> Any:
        kafka.calls.append("ingest")
        return ask(urls)

    monkeypatch.setattr(ingest_state, "ask", noted)
    with running(kafka, monkeypatch) as ends, process(delivered_until_ms=1) as port:
        eventually(lambda: ends.snapshots([url(port)]))
    first = kafka.calls.index("ingest")

    assert kafka.calls[first : first + 2] == ["ingest", "Kafka"]


@pytest.mark.parametrize("state", [{"delivered_until_ms": None}, {"status": 0}])
def test_an_ingest_that_cannot_say_stops_the_moment(
    state: dict[str, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its spool may hold anything; the lag is known all the same, and the log says why, once."""
    with running(_Kafka(), monkeypatch) as ends, process(**state) as port:
        eventually(lambda: ends.snapshots([url(port)]) or caplog.records)
        eventually(lambda: ends.now() == _ENDS)

        assert ends.snapshots([url(port)]) == []
    reasons = [one.__dict__["why"] for one in caplog.records if one.message == "read_until_stands"]
    assert len(reasons) == len({*reasons}), reasons
    assert reasons[0].startswith("ingest ")


def test_without_ingest_kafka_alone_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with INGEST_ADMIN_URL=none: until now, the time of this machine."""
    monkeypatch.setattr(time, "time_ns", lambda: 42_000_000)
    with running(_Kafka(), monkeypatch) as ends:
        assert eventually(lambda: ends.snapshots([]))[-1] == DeliverySnapshot(42, _ENDS)


def test_no_snapshot_while_kafka_is_away(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An old end is none: the lag becomes unknown."""
    kafka = _Kafka()
    kafka.is_away = True
    with running(kafka, monkeypatch) as ends, process(delivered_until_ms=1) as port:
        said = {"kafka_unusable", "read_until_stands"}
        eventually(lambda: ends.snapshots([url(port)]) or said <= {one.message for one in caplog.records})

        assert (ends.snapshots([url(port)]), ends.now()) == ([], {})
    found = {one.message: one for one in reversed(caplog.records)}
    unusable, stands = found["kafka_unusable"], found["read_until_stands"]
    assert unusable.__dict__["problem"].startswith("Kafka at 127.0.0.1:1 cannot be reached")
    assert stands.__dict__["why"].startswith("Kafka: ")


def test_an_unexpected_error_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread that died in silence would leave the moment standing for ever."""
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    monkeypatch.setattr(_Kafka, "list_topics", lambda *_, **__: 1 // 0)
    with running(_Kafka(), monkeypatch) as ends, pytest.raises(RuntimeError, match="topic-ends has ended"):
        eventually(ends.now)


def test_a_query_under_way_says_nothing_after_close(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Kafka may stop together with us; the log of a process in order ends without an error."""
    kafka, closed = _Kafka(), threading.Event()
    kafka.is_away = True
    list_topics = kafka.list_topics

    def slow(name: str, **options: Any) -> Any:
        assert closed.wait(60)
        return list_topics(name, **options)

    monkeypatch.setattr(kafka, "list_topics", slow)
    with running(kafka, monkeypatch) as ends:
        thread = ends._thread
    closed.set()
    thread.join()

    assert [one.message for one in caplog.records] == []
