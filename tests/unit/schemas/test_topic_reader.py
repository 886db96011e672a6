"""Requests of an admin client end, whatever becomes of their answers."""

from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError, KafkaException

from runtime.kafka import topic_reader


def test_an_answer_that_never_comes_is_an_error_of_kafkas(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait without an end would stop all that is shown of Kafka."""
    monkeypatch.setattr(topic_reader, "_SLACK_SECONDS", 0.0)

    with pytest.raises(KafkaException) as raised:
        topic_reader.answer(Future(), 0.05)

    assert raised.value.args[0].code() == KafkaError._TIMED_OUT


def test_an_answer_is_returned() -> None:
    """As it came."""
    future: Future[int] = Future()
    future.set_result(7)

    assert topic_reader.answer(future, 0.05) == 7
