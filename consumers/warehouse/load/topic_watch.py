"""Our topics on the cluster -> warnings in the loader's log about possible loss of unloaded records.

Invariant: loading continues even if Kafka is down or does not permit these queries. The operator's settings
for topics are ingest's to compare; the loader does not know them.
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
    """Check now and once a minute, in a thread, until the process ends."""
    threading.Thread(target=_watch, args=(kafka,), name="topics", daemon=True).start()


def _watch(kafka: Mapping[str, str]) -> None:
    log, waiting = TopicLog(TopicContract()), threading.Event()
    while True:
        waiting.wait(_CHECK_SECONDS if _check(kafka, log) else _RETRY_SECONDS)


def _check(kafka: Mapping[str, str], log: TopicLog) -> bool:
    """Return whether Kafka answered."""
    try:
        with topic_reader.client(kafka) as admin:
            log.take(topic_reader.read(admin, _REQUEST_SECONDS_MAX))
    except KafkaException:
        return False
    return True
