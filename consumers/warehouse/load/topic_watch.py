"""Our topics as the cluster has them -> the loader's log, where they may lose what is not loaded yet.

Invariant: that Kafka is away, or does not let us ask, keeps nothing from loading. What the operator asked of
the topics is ingest's to compare: the loader does not know it.
"""

import threading
from collections.abc import Mapping

from confluent_kafka import KafkaException

from runtime.kafka import topic_reader
from runtime.kafka.topic_contract import TopicContract
from runtime.kafka.topic_log import TopicLog

_CHECK_SECONDS = 60.0
_RETRY_SECONDS = 5.0
_REQUEST_SECONDS_MAX = 5.0


def start(kafka: Mapping[str, str]) -> None:
    """Compare now and once a minute, in a thread, for as long as the process lives."""
    threading.Thread(target=_watch, args=(kafka,), name="topics", daemon=True).start()


def _watch(kafka: Mapping[str, str]) -> None:
    log, waiting = TopicLog(TopicContract()), threading.Event()
    while True:
        waiting.wait(_CHECK_SECONDS if _look(kafka, log) else _RETRY_SECONDS)


def _look(kafka: Mapping[str, str], log: TopicLog) -> bool:
    """Return whether Kafka answered."""
    try:
        log.take(topic_reader.read(topic_reader.client(kafka), _REQUEST_SECONDS_MAX))
    except KafkaException:
        return False
    return True
