"""Queries of several partitions: an answer for every one, or an error."""

import re
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import OFFSET_END, Consumer, KafkaError, KafkaException, TopicPartition

import consumers.warehouse.repair.offset_reader
from consumers.kit import offsets
from consumers.kit.errors import TransientError
from consumers.kit.group_consumer import GroupConsumer, Membership
from consumers.kit.record import Place
from consumers.warehouse.repair.offset_reader import OffsetReader
from runtime.kafka import topics
from tests.support.stack import ROOT

_PLACES: list[Place] = [(topics.EVENTS, 0), (topics.EVENTS, 1)]
_NOWHERE = {"bootstrap.servers": "127.0.0.1:1", "log_level": "0"}
_MODULES = [
    path for folder in ("consumers", "ingest", "deploy") for path in sorted((ROOT / folder).rglob("*.py"))
]


class Answers:
    """A consumer whose first answers lack partition 1, as librdkafka's may."""

    def __init__(self, bad: int) -> None:
        self.bad = bad
        self.commits: list[list[TopicPartition]] = []

    def answer(self, asked: Sequence[TopicPartition], **_: Any) -> list[Any]:
        """Return offset 7 for all, or for all but one, which gets the requested value (a timestamp)."""
        error = KafkaError(KafkaError.LEADER_NOT_AVAILABLE) if self.bad > 0 else None
        self.bad -= 1
        return [
            SimpleNamespace(topic=one.topic, partition=one.partition, offset=one.offset, error=error)
            if error and one.partition == 1
            else SimpleNamespace(topic=one.topic, partition=one.partition, offset=7, error=None)
            for one in asked
        ]

    committed = offsets_for_times = answer

    def commit(self, offsets: list[TopicPartition], **_: Any) -> list[Any]:
        """Record the commit, and answer."""
        self.commits.append(offsets)
        return self.answer(offsets)

    def list_topics(self, name: str, **_: Any) -> Any:
        """Return a topic of two partitions."""
        error = KafkaError(KafkaError.LEADER_NOT_AVAILABLE) if self.bad > 0 and name == "broken" else None
        return SimpleNamespace(topics={name: SimpleNamespace(error=error, partitions={1: None, 0: None})})


def client(bad: int) -> Consumer:
    """Return such a consumer."""
    return cast("Consumer", Answers(bad))


@pytest.mark.parametrize(
    "ask",
    [
        lambda consumer: offsets.committed(consumer, _PLACES, 1),
        lambda consumer: offsets.first_at(consumer, dict.fromkeys(_PLACES, 9), 1_795_000_000_000, 1),
        lambda consumer: offsets.since(consumer, _PLACES, 1_795_000_000_000, 1),
        lambda consumer: offsets.starts(consumer, _PLACES, 1),
        lambda consumer: offsets.ends(consumer, _PLACES, 1),
        lambda consumer: offsets.commit(consumer, dict.fromkeys(_PLACES, 7)),
        lambda consumer: offsets.places(consumer, ["broken"], 1),
    ],
    ids=["committed", "first_at", "since", "starts", "ends", "commit", "places"],
)
def test_one_partitions_error_is_the_answers(ask: Callable[[Consumer], Any]) -> None:
    """The caller would otherwise use an offset, or the end, that Kafka never reported."""
    with pytest.raises(KafkaException, match="LEADER_NOT_AVAILABLE"):
        ask(client(bad=1))

    assert ask(client(bad=0)) in (None, dict.fromkeys(_PLACES, 7), [("broken", 0), ("broken", 1)])


def test_since_begins_where_the_first_record_will_lie() -> None:
    """Not at an end resolved later, because records in between would be skipped."""

    class Growing(Answers):
        """Nothing was received at the moment; a record arrives after every answer."""

        end = 7

        def offsets_for_times(self, asked: Sequence[TopicPartition], **_: Any) -> list[Any]:
            """Return the end when asked for it, and no offset for a moment."""
            at = self.end if asked[0].offset == OFFSET_END else OFFSET_END
            self.end += 1
            return [
                SimpleNamespace(topic=one.topic, partition=one.partition, offset=at, error=None)
                for one in asked
            ]

    growing = cast("Consumer", Growing(bad=0))

    assert offsets.since(growing, _PLACES, 1_795_000_000_000, 1) == dict.fromkeys(_PLACES, 7)


def test_since_begins_nowhere_while_one_partition_has_no_answer() -> None:
    """Otherwise that would be committed, and records since then skipped for good."""
    source = GroupConsumer(
        _NOWHERE, Membership("g", (topics.EVENTS,), 1_795_000_000_000), lambda _: None, int
    )
    answers = Answers(bad=1)
    source.ends.close()
    source._consumer = cast("Consumer", answers)

    with pytest.raises(KafkaException):
        source._begin(_PLACES, 1_795_000_000_000)
    assert answers.commits == []
    assert source._begin(_PLACES, 1_795_000_000_000) == dict.fromkeys(_PLACES, 7)


def test_replay_reads_every_partition_or_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for a moving leader; one that is gone for good causes an error message."""
    kafka = OffsetReader(_NOWHERE, "g")
    logs = {place: SimpleNamespace(high=9) for place in _PLACES}
    monkeypatch.setattr(OffsetReader, "logs", lambda _: logs)
    monkeypatch.setattr(consumers.warehouse.repair.offset_reader, "_RETRY_SECONDS_MAX", 0.3)

    kafka._consumer = client(bad=1)
    assert kafka._offsets_at(1, logs) == dict.fromkeys(_PLACES, 7)  # type: ignore[arg-type]

    kafka._consumer = client(bad=1_000_000)
    with pytest.raises(TransientError, match="Leader not available"):
        kafka.received(1, 2)


def test_no_other_module_asks_a_consumer_for_offsets() -> None:
    """They would ignore the errors of single partitions again."""
    asking = re.compile(
        r"\.(committed|offsets_for_times|get_watermark_offsets|list_topics|list_offsets)\((?!\))"
    )
    found = {
        path.relative_to(ROOT).as_posix()
        for path in _MODULES
        for line in path.read_text().splitlines()
        if asking.search(line) and "offsets." not in line and "cached=True" not in line
    }

    assert len(_MODULES) > 100
    assert found == {"consumers/kit/offsets.py"}


def test_the_first_offset_is_an_offset() -> None:
    """Nothing committed is negative; 0 is committed, or received at once."""
    found = [
        SimpleNamespace(topic=topics.EVENTS, partition=0, offset=0, error=None),
        SimpleNamespace(topic=topics.EVENTS, partition=1, offset=-1001, error=None),
    ]
    consumer = cast("Consumer", SimpleNamespace(committed=lambda _, **__: found))

    assert offsets.committed(consumer, _PLACES, 1) == {_PLACES[0]: 0, _PLACES[1]: None}
