"""Messages of librdkafka: each kind once a minute, in bounded memory, whatever an outage repeats."""

import logging

import pytest
from confluent_kafka import Producer

from consumers.kit import client
from runtime.kafka import client_log
from runtime.kafka.client_log import RepeatFilter
from tests.support.waiting import eventually

REFUSED = "FAIL [rdkafka#producer-{0}] [thrd:h:{1}/1]: h:{1}/1: Connect failed: refused (after {2}ms)"


class Clock:
    """A time that the test moves."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def record(text: str) -> logging.LogRecord:
    """Return a record with a text."""
    return logging.LogRecord("librdkafka", logging.ERROR, __file__, 1, text, (), None)


def passed(messages: RepeatFilter, text: str) -> int | None:
    """Return how many were left out before the message; None: it is left out itself."""
    one = record(text)
    return getattr(one, "left_out", 0) if messages.filter(one) else None


def test_repeats_are_counted_and_logged_once_a_minute() -> None:
    """The first message is logged at once; numbers make no other kind, other words do."""
    messages = RepeatFilter(clock := Clock())
    first = passed(messages, REFUSED.format(1, 9092, 0))
    repeats = [passed(messages, REFUSED.format(2, 9093, n)) for n in range(100)]
    other = passed(messages, "FAIL: the certificate has expired")
    clock.now += 59.9
    early = passed(messages, REFUSED.format(1, 9092, 7))
    clock.now += 0.1
    due = passed(messages, REFUSED.format(1, 9092, 7))
    clock.now += 60

    assert (first, {*repeats}, other, early, due) == (0, {None}, 0, None, 101)
    assert passed(messages, REFUSED.format(1, 9092, 7)) == 0


def test_memory_is_bounded() -> None:
    """Messages of any number and length; the kinds that were seen last are remembered."""
    messages = RepeatFilter(Clock())
    for number in range(5000):
        passed(messages, "".join(chr(ord("a") + int(digit)) for digit in str(number)) + "x" * 10_000)

    assert len(messages._kinds) == client_log._KINDS_MAX
    assert max(map(len, messages._kinds)) == client_log._KIND_CHARS_MAX
    assert passed(messages, "ejjj" + "x" * 10_000) is None
    assert passed(messages, "a" + "x" * 10_000) == 0


def test_a_kafka_that_is_away_is_one_line(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Clients that reconnect all the time once logged several lines a second, for as long as it was away."""
    address = {"bootstrap.servers": "127.0.0.1:1", "reconnect.backoff.ms": 20, "reconnect.backoff.max.ms": 50}
    assert [type(one) for one in client_log.LOG.filters] == [RepeatFilter]
    messages = RepeatFilter()
    monkeypatch.setattr(client_log.LOG, "filters", [messages])
    producer = Producer(address, logger=client_log.LOG)
    consumers = [client.consumer(address, f"away-{number}") for number in range(3)]

    def refusals() -> int:
        producer.poll(0)
        for one in consumers:
            one.poll(0)
        return sum(left_out for kind, (_, left_out) in messages._kinds.items() if "refused" in kind)

    with caplog.at_level(logging.INFO, "librdkafka"):
        eventually(lambda: refusals() >= 5, 30)
    for one in consumers:
        one.close()
    lines = [client_log._NUMBER.sub("", one.getMessage()) for one in caplog.records]

    assert any("refused" in line for line in lines)
    assert len(lines) == len({*lines}) <= 8
