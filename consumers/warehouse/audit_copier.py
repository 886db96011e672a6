"""`tapcart.audit` -> the table `audit_trail`.

Invariants: loading of events never waits for it, and never fails by it. Every start reads the topic from its
beginning; a row that is there already is replaced by itself. A record that is not ours is logged and skipped.
"""

import logging
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing

import msgspec
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

from consumers.kit import client
from consumers.warehouse.clickhouse import connect
from consumers.warehouse.tables import AUDIT_TRAIL, RAW
from runtime.kafka import topics
from runtime.kafka.audit import AuditRecord

_log = logging.getLogger(__name__)

_RECORDS_MAX = 1_000
_POLL_SECONDS = 10.0
_RETRY_SECONDS = 5.0
_INSERT_SECONDS_MAX = 30.0
_COLUMNS = [column.name for column in AUDIT_TRAIL.columns if not column.default]
_PROPERTIES = {
    # Records are rare, and nobody waits for them: one request every ten seconds.
    "fetch_wait_max_ms": 10_000,
    "socket_timeout_ms": 30_000,
    # The topic may be created later.
    "topic_metadata_refresh_interval_ms": 10_000,
}


def start(kafka: Mapping[str, str], clickhouse_url: str, group: str) -> None:
    """Copy in a thread, until the process ends."""
    threading.Thread(target=_copy, args=(kafka, clickhouse_url, group), name="audit", daemon=True).start()


def _copy(kafka: Mapping[str, str], clickhouse_url: str, group: str) -> None:
    with closing(client.consumer(kafka, group, **_PROPERTIES)) as consumer:
        consumer.assign([TopicPartition(topics.AUDIT, 0, OFFSET_BEGINNING)])
        while True:
            if found := _records(consumer):
                _store(clickhouse_url, found)


def _records(consumer: Consumer) -> list[AuditRecord]:
    first = consumer.consume(1, _POLL_SECONDS)
    messages = client.readable(first + consumer.consume(_RECORDS_MAX, 0) if first else [])
    found = []
    for message in messages:
        if message.error() is not None:  # the topic does not exist yet, or Kafka is away
            continue
        try:
            found.append(msgspec.json.decode(message.value() or b"", type=AuditRecord))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            _log.warning("audit_record_skipped", extra={"offset": message.offset(), "problem": str(error)})
    return found


def _store(clickhouse_url: str, found: Sequence[AuditRecord]) -> None:
    """Insert until it succeeds."""
    waiting = threading.Event()
    while True:
        try:
            with closing(connect(clickhouse_url, _INSERT_SECONDS_MAX)) as connected:
                _insert(connected, found)
        except ClickHouseError as error:
            _log.warning("audit_not_stored", extra={"error": str(error)[:500]})
            waiting.wait(_RETRY_SECONDS)
        else:
            return


def _insert(connected: Client, found: Sequence[AuditRecord]) -> None:
    rows = [
        [one.audit_id, one.at_ms, one.action, one.state, one.actor, one.count, one.detail] for one in found
    ]
    connected.insert("audit_trail", rows, _COLUMNS, database=RAW)
