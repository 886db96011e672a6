"""Requests of an admin client end, even without an answer."""

from concurrent.futures import Future

import pytest
from confluent_kafka import KafkaError, KafkaException

from runtime.kafka import topic_reader


def test_an_answer_that_never_comes_is_an_error_of_kafkas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting forever would freeze everything that shows Kafka's state."""
    monkeypatch.setattr(topic_reader, "_SLACK_SECONDS", 0.0)

    with pytest.raises(KafkaException) as raised:
        topic_reader.answer(Future(), 0.05)

    assert raised.value.args[0].code() == KafkaError._TIMED_OUT


def test_an_answer_is_returned() -> None:
    """It is returned unchanged."""
    future: Future[int] = Future()
    future.set_result(7)

    assert topic_reader.answer(future, 0.05) == 7
