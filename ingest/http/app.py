"""Settings and schemas -> one ingest process: two ASGI applications and their background parts."""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp

from ingest import redaction_file
from ingest.delivery.audit_notes import AuditNotes
from ingest.delivery.producer import KafkaProducer
from ingest.delivery.publisher import Publisher
from ingest.delivery.rescue import Rescue
from ingest.delivery.set_aside import SetAside
from ingest.delivery.spool import Spool
from ingest.delivery.topic_keeper import TopicKeeper
from ingest.http.access import SenderAccess
from ingest.http.admin import admin
from ingest.http.health import Health
from ingest.http.receive import Receiver
from ingest.http.refusals import Refusals
from ingest.http.token_follower import TokenFollower
from ingest.http.tracing import traced
from ingest.http.webhook import Webhook
from ingest.metrics import Metrics
from ingest.registry_api.registry import RegistryApi
from ingest.settings import Settings
from runtime import certificates, descriptors
from runtime.http.gate import ConnectionLimits, Gate
from runtime.kafka import record_key
from runtime.process import Part
from runtime.tokens import Token
from schemas.catalog.schema_reloader import SchemaReloader

_ADMIN_CONNECTIONS_MAX = 32


@dataclass(frozen=True, slots=True)
class IngestService:
    """The applications of the two ports, and the parts that run beside them."""

    public: ASGIApp
    gate: Gate
    admin: ASGIApp
    admin_gate: Gate
    publisher: Publisher
    parts: Mapping[str, Part]  # by name; they run as long as the process


def build(settings: Settings, reloader: SchemaReloader, tokens: TokenFollower) -> IngestService:
    """Wire up the service on a running event loop, without starting it."""
    metrics = Metrics()
    certificates.watch_files(metrics.certificates, settings.kafka, settings.schema_registry)
    keeper = TopicKeeper(settings.kafka, settings.topics, metrics, settings.acknowledge_seconds_max)
    publisher = _publisher(settings, keeper, reloader, metrics)
    access = SenderAccess(tokens.tokens, settings.addresses, settings.proxies)
    redaction = redaction_file.of_settings(settings)
    key_of = record_key.KEYS[settings.key]
    webhook = Webhook(settings, Receiver(reloader.catalog, redaction, key_of), access, publisher, metrics)
    refusals = Refusals(metrics.admin_refused)
    metrics.watch("schemas", "Schema releases in use.", lambda: len(reloader.catalog.releases))
    metrics.watch("requests_under_way", "POSTs being handled.", lambda: webhook.requests)
    metrics.watch(
        "requests_under_way_max", "POSTs that may be handled at once.", lambda: settings.requests_max
    )
    metrics.watch("memory_bytes", "Bytes of the requests in flight.", lambda: webhook.memory.bytes)
    metrics.watch("memory_bytes_max", "Limit of `memory_bytes`.", lambda: webhook.memory.bytes_max)
    metrics.watch("tokens", "Tokens in use.", lambda: len(tokens.tokens))
    metrics.watch("guesses_waiting", "Delayed answers to wrong tokens.", lambda: webhook.guesses.waiting)
    metrics.watch(
        "guesses_waiting_max", "Answers that may be delayed at once.", lambda: webhook.guesses.waiting_max
    )
    reloader.on_refused = metrics.schemas_refused.inc
    tokens.on_refused = metrics.tokens_refused.inc

    notes = AuditNotes(settings.kafka, tokens.tokens, reloader.catalog.schema_ids)

    def use_tokens(changed: tuple[Token, ...]) -> None:
        webhook.access = SenderAccess(changed, settings.addresses, settings.proxies)
        notes.tokens(changed)

    def use_schemas() -> None:
        webhook.receiver = Receiver(reloader.catalog, redaction, key_of)  # used from the next event on
        notes.schemas(reloader.catalog.schema_ids)

    return IngestService(
        traced(webhook, settings.traces_endpoint),
        _gate(settings, webhook, metrics),
        admin(
            Health(publisher, keeper, metrics),
            RegistryApi(reloader),
            settings.admin_host,
            refusals,
        ),
        Gate(
            ConnectionLimits(connections_max=_ADMIN_CONNECTIONS_MAX),
            refused=lambda why: refusals.note(why.status, why.event),
        ),
        publisher,
        {
            "publisher": publisher.run(),
            "topics": keeper.watch(),
            "schemas": reloader.watch(use_schemas),
            "tokens": tokens.follow(use_tokens),
            "audit": notes.run(),
        },
    )


def _gate(settings: Settings, webhook: Webhook, metrics: Metrics) -> Gate:
    limits = ConnectionLimits(
        settings.connections_max,
        settings.request_seconds_max,
        settings.request_seconds_max,
        settings.headers_max,
        settings.head_bytes_max,
    )
    gate = Gate(
        limits,
        refused=lambda why: webhook.refusals.note(why.status, why.event),
        closed=metrics.connection_closed,
    )
    metrics.watch("connections", "Open connections of the public port.", lambda: len(gate.connections))
    metrics.watch("connections_max", "Limit of `connections`.", lambda: limits.connections_max)
    metrics.watch("open_files", "Open files and connections.", descriptors.open_now)
    metrics.watch("open_files_max", "Limit of `open_files`, set by the system.", descriptors.raise_limit)
    return gate


def _publisher(
    settings: Settings, topics: TopicKeeper, reloader: SchemaReloader, metrics: Metrics
) -> Publisher:
    spool = Spool(settings.spool_dir, settings.spool_bytes_max)
    set_aside = SetAside(settings.spool_dir, settings.set_aside_bytes_max)
    producer = KafkaProducer(settings.kafka)
    publisher = Publisher(
        producer,
        spool,
        topics,
        Rescue(producer, set_aside, lambda: reloader.catalog, metrics),
        metrics,
        acknowledge_seconds_max=settings.acknowledge_seconds_max,
    )
    metrics.watch("spool_bytes", "Bytes on disk, spooled and set aside.", lambda: publisher.spool_bytes)
    metrics.watch("spool_bytes_max", "Bytes that may await Kafka on disk.", lambda: spool.bytes_max)
    metrics.watch("spool_oldest_seconds", "Age of the oldest record on disk.", _age_of(spool))
    metrics.watch(
        "set_aside_files", "Files set aside because no topic accepts their records.", lambda: set_aside.files
    )
    metrics.watch("set_aside_bytes", "Bytes of the files set aside.", lambda: set_aside.bytes)
    metrics.watch("set_aside_bytes_max", "Limit of `set_aside_bytes`.", lambda: set_aside.bytes_max)
    folder = settings.spool_dir
    metrics.watch(
        "disk_free_bytes", "Free bytes on the spool's disk.", lambda: shutil.disk_usage(folder).free
    )
    metrics.watch("disk_bytes", "Size of the spool's disk.", lambda: shutil.disk_usage(folder).total)
    metrics.watch(
        "kafka_pending_records", "Records awaiting their delivery report.", lambda: producer.pending
    )
    metrics.watch("kafka_pending_seconds", "Age of the oldest pending record.", producer.oldest_seconds)
    metrics.watch(
        "held_records", "Records held in memory until Kafka has the spool's tail.", lambda: publisher.held
    )
    return publisher


def _age_of(spool: Spool) -> Callable[[], float]:
    def seconds() -> float:
        oldest_ms = spool.oldest_ms()
        return max(0.0, time.time() - oldest_ms / 1000) if oldest_ms else 0.0

    return seconds
