"""What was done to stored data, schemas and tokens, by whom: one JSON record per step in `tapcart.audit`.

Invariants: `audited` acts only once Kafka has acknowledged that it begins, so nothing happens unrecorded. A
record names nobody but the actor: counts, kinds of ids and names of schemas, never an id or a secret.
Source: deploy/privacy.md, "The audit trail".
"""

import getpass
import os
import socket
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer
from confluent_kafka.admin import NewTopic

from runtime.command import CommandError
from runtime.kafka import client_log, topic_reader, topics
from runtime.kafka.diagnosis import Diagnosis, write_rights
from runtime.kafka.topic_contract import TopicContract, new_topic_config

SECONDS_MAX = 10.0
_NOTED_SECONDS_MAX = 3.0  # a token must be revoked at once, also while Kafka is away
STARTED, DONE, FAILED = "started", "done", "failed"


def _actor() -> str:
    """Return the user and host of this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # the user has no name here
        user = f"uid {os.getuid()}"
    return f"{user}@{socket.gethostname()}"


class AuditError(CommandError):
    """The audit trail cannot be written."""


class AuditRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One step of one action: the JSON of a record of `tapcart.audit`."""

    at_ms: int = msgspec.field(default_factory=lambda: time.time_ns() // 1_000_000)
    audit_id: str = msgspec.field(default_factory=lambda: str(uuid.uuid4()))  # the same for all steps
    action: str  # export, replay, repair, schemas, tokens, ...
    state: str = DONE
    actor: str = msgspec.field(default_factory=_actor)
    count: int | None = None  # of rows, records, releases or tokens
    detail: str = ""


class ActionOutcome:
    """What an audited action did; the action sets it."""

    count: int | None = None
    detail = ""


@contextmanager
def audited(kafka: Mapping[str, str], action: str, detail: str) -> Iterator[ActionOutcome]:
    """Record that an action starts, and then whether it was done. Raises: AuditError, before the action."""
    outcome, begun = ActionOutcome(), AuditRecord(action=action, state=STARTED, detail=detail)

    def ended(state: str) -> AuditRecord:
        return AuditRecord(
            audit_id=begun.audit_id,
            action=action,
            state=state,
            count=outcome.count,
            detail=outcome.detail or detail,
        )

    write(kafka, begun)
    try:
        yield outcome
    except BaseException:
        with suppress(AuditError):
            write(kafka, ended(FAILED))
        raise
    try:
        write(kafka, ended(DONE))
    except AuditError as error:
        raise AuditError(f"it is done, but {error}") from error


def noted(kafka: Mapping[str, str], record: AuditRecord) -> str:
    """Record what is done already; return "", or why it is not recorded."""
    if "bootstrap.servers" not in kafka:
        return "KAFKA_BOOTSTRAP_SERVERS is not set, so this is not in the audit trail"
    try:
        write(kafka, record, _NOTED_SECONDS_MAX)
    except AuditError as error:
        return str(error)
    return ""


def write(kafka: Mapping[str, str], record: AuditRecord, seconds_max: float = SECONDS_MAX) -> None:
    """Store a record, and create the topic if it is absent. Raises: AuditError."""
    try:
        _make_topic(kafka, seconds_max)
        _produce(kafka, msgspec.json.encode(record), seconds_max)
    except KafkaException as error:
        why = Diagnosis(kafka, write_rights(topics.AUDIT)).sentence(error.args[0])
        why = why or f"Kafka: {error.args[0].str()}"
        raise AuditError(f"the audit trail ({topics.AUDIT}) cannot be written: {why}") from error


def _make_topic(kafka: Mapping[str, str], seconds_max: float) -> None:
    with topic_reader.client(kafka) as admin:
        if topics.AUDIT in admin.list_topics(timeout=seconds_max).topics:
            return
        contract = TopicContract()
        brokers = len(
            topic_reader.answer(admin.describe_cluster(request_timeout=seconds_max), seconds_max).nodes
        )
        replicas = contract.replicas(brokers, topic_reader.default_replicas(admin, seconds_max))
        config = new_topic_config(topics.AUDIT, replicas, contract) | {"retention.ms": "-1"}
        new = NewTopic(topics.AUDIT, 1, replicas, config=config)
        try:
            topic_reader.answer(
                admin.create_topics([new], request_timeout=seconds_max)[topics.AUDIT], seconds_max
            )
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise


def _produce(kafka: Mapping[str, str], value: bytes, seconds_max: float) -> None:
    answers: list[KafkaError | None] = []

    def answered(error: KafkaError | None, _: Message) -> None:
        answers.append(error)

    needed = {"acks": "all", "message.timeout.ms": round(seconds_max * 1000), "linger.ms": 0}
    producer = Producer({**kafka, **needed}, logger=client_log.LOG)
    producer.produce(topics.AUDIT, value, partition=0, on_delivery=answered)
    producer.flush(seconds_max + 1)
    if answers != [None]:
        raise KafkaException(answers[0] if answers else KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001
