"""Refused records -> the quarantine topic, acknowledged.

Invariant: `write` returns only when Kafka has all records except those too large for it; any other failure is
transient, and the offsets stay uncommitted. Writing twice is harmless: the table holds each body once.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from consumers.kit.decode import Refusal, encode_refusal
from consumers.kit.errors import TransientError
from runtime.environment import SettingsError
from runtime.kafka import client_log, topics
from runtime.kafka.diagnosis import Diagnosis
from runtime.kafka.record_headers import RecordHeaders
from schemas.catalog import wire
from schemas.catalog.catalog import CatalogError
from schemas.catalog.schema_reloader import SchemaReloader
from schemas.catalog.wire_ids import registered

_log = logging.getLogger(__name__)

_ACKNOWLEDGE_SECONDS_MAX = 5.0
_Delivered = Callable[[KafkaError | None, Message], None]
_CHUNK = 1_000  # well within librdkafka's queue
_TOO_LARGE = frozenset({KafkaError.MSG_SIZE_TOO_LARGE})


class QuarantineWriter:
    """Writes a consumer's refused records to the quarantine topic. One thread at a time.

    Its first use raises: SettingsError.
    """

    def __init__(self, kafka: Mapping[str, str], reloader: SchemaReloader) -> None:
        self._kafka = kafka
        self._diagnosis = Diagnosis(kafka, f"Write on the topic {topics.QUARANTINE}")
        self._reloader = reloader
        self._producer: Producer | None = None

    def write(self, refusals: Sequence[Refusal]) -> list[Refusal]:
        """Write all refusals; return those too large for Kafka. Raises: TransientError."""
        too_large: list[Refusal] = []
        for start in range(0, len(refusals), _CHUNK):
            too_large += self._write(refusals[start : start + _CHUNK])
        return too_large

    def _write(self, refusals: Sequence[Refusal]) -> list[Refusal]:
        producer = self._connected()
        answers: dict[int, KafkaError | None] = {}
        for index, refusal in enumerate(refusals):
            try:
                self._produce(producer, refusal, partial(_answer, answers, index))
            except KafkaException as error:
                answers[index] = error.args[0]
            except BufferError as error:
                raise TransientError("librdkafka's queue is full") from error
        try:
            producer.flush(_ACKNOWLEDGE_SECONDS_MAX)
        except KafkaException as error:  # fatal
            self._producer = None
            raise TransientError(f"the quarantine topic: {self._why(error.args[0])}") from error
        too_large = [index for index, error in answers.items() if error and error.code() in _TOO_LARGE]
        failed = [error for index, error in answers.items() if error and index not in too_large]
        if failed or len(answers) < len(refusals):
            producer.purge()
            producer.flush(0)
            # Use new connections next: librdkafka does not drop a silent one whose requests were purged.
            self._producer = None
            why = self._why(failed[0]) if failed else "no acknowledgement in time"
            raise TransientError(f"the quarantine topic: {why}")
        return [refusals[index] for index in too_large]

    def _why(self, error: KafkaError) -> str:
        return self._diagnosis.denial(error) or error.str()

    def _produce(self, producer: Producer, refusal: Refusal, delivered: _Delivered) -> None:
        value, own_prefix = self._encoded(refusal)
        headers = RecordHeaders(
            self._reloader.catalog.quarantine.schema_id,
            refusal.received_at_ms,
            wire.checksum(value),
            event_id=refusal.event_id,
            own_prefix=own_prefix,
            traceparent=refusal.traceparent,
        )
        producer.produce(
            topics.QUARANTINE,
            value,
            refusal.app_id.encode() if refusal.app_id else None,
            on_delivery=delivered,
            timestamp=refusal.received_at_ms,
            headers=[*headers.pairs()],
        )
        producer.poll(0)

    def _encoded(self, refusal: Refusal) -> tuple[bytes, bytes | None]:
        try:
            value = encode_refusal(self._reloader.catalog, refusal)
            if not self._reloader.catalog.is_complete:
                self._reloader.reload()
            return registered(self._reloader.catalog, value)
        except (KeyError, CatalogError) as error:
            raise TransientError(f"the registry has no id for the quarantine's schema: {error}") from error

    def _connected(self) -> Producer:
        if self._producer is None:
            properties = {
                **topics.COMPRESSION,
                **self._kafka,
                "enable.idempotence": True,
                "acks": "all",
                "partitioner": topics.PARTITIONER,
                "message.timeout.ms": round(_ACKNOWLEDGE_SECONDS_MAX * 1000),
                "message.max.bytes": topics.RECORD_BYTES_MAX,
            }
            try:
                self._producer = Producer(properties, logger=client_log.LOG)
            except KafkaException as error:
                raise SettingsError(f"KAFKA_*: {error.args[0].str()}") from error
        return self._producer


def _answer(answers: dict[int, KafkaError | None], index: int, error: KafkaError | None, _: Message) -> None:
    answers[index] = error
