"""Settings and schemas -> one ingest process: two ASGI applications, the publisher, what runs beside them."""

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from starlette.types import ASGIApp

from ingest.delivery.delivered import Delivered
from ingest.delivery.producer import KafkaProducer
from ingest.delivery.publisher import Publisher
from ingest.delivery.rescue import Rescue
from ingest.delivery.set_aside import SetAside
from ingest.delivery.spool import Spool
from ingest.delivery.topic_keeper import TopicKeeper
from ingest.http.access import Access
from ingest.http.admin import admin
from ingest.http.health import Health
from ingest.http.public import Public
from ingest.http.receive import Receiver
from ingest.http.refusals import Refusals
from ingest.http.token_follower import TokenFollower
from ingest.http.webhook import Webhook
from ingest.metrics import Children, Metrics
from ingest.registry_api.registry import Registry
from ingest.settings import Settings
from runtime import descriptors
from runtime.http.protocol import Gate, Limits
from runtime.process import Part
from runtime.tokens import Token
from schemas.catalog.schema_reloader import Current

_ADMIN_CONNECTIONS_MAX = 32


@dataclass(frozen=True, slots=True)
class Service:
    """What the two ports serve, and what runs beside them."""

    public: ASGIApp
    gate: Gate
    admin: ASGIApp
    admin_gate: Gate
    publisher: Publisher
    parts: Mapping[str, Part]  # by name: what runs for as long as the process


def build(settings: Settings, current: Current, tokens: TokenFollower) -> Service:
    """Return the service, on a running event loop; nothing runs yet."""
    metrics = Metrics()
    keeper = TopicKeeper(settings.kafka, settings.topics, metrics, settings.acknowledge_seconds_max)
    publisher = _publisher(settings, keeper, current, metrics)
    delivered = Delivered(publisher, settings.acknowledge_seconds_max)
    webhook = Webhook(settings, Receiver(current.catalog), delivered, metrics)
    public = Public(webhook, Access(tokens.tokens, settings.addresses, settings.proxies), metrics)
    refusals = Refusals(Children(metrics.admin_refused))
    metrics.watch("schemas", "Releases in use.", lambda: len(current.catalog.releases))
    metrics.watch("requests_under_way", "POSTs being handled.", lambda: webhook.requests)
    metrics.watch(
        "requests_under_way_max", "POSTs that may be handled at once.", lambda: settings.requests_max
    )
    metrics.watch("memory_bytes", "Bytes of the requests in flight.", lambda: webhook.memory.bytes)
    metrics.watch("memory_bytes_max", "Bytes that they may have together.", lambda: webhook.memory.bytes_max)
    metrics.watch("tokens", "Tokens in use.", lambda: len(tokens.tokens))
    metrics.watch("guesses_waiting", "Answers to wrong tokens that wait.", lambda: public.guesses.waiting)
    metrics.watch("guesses_waiting_max", "Answers that may wait at once.", lambda: public.guesses.waiting_max)
    current.on_refused = metrics.schemas_refused.inc
    tokens.on_refused = metrics.tokens_refused.inc

    def use(changed: tuple[Token, ...]) -> None:
        public.access = Access(changed, settings.addresses, settings.proxies)

    def taken_up() -> None:
        webhook.receiver = Receiver(current.catalog)  # from the next event on

    return Service(
        public,
        _gate(settings, public, metrics),
        admin(
            Health(publisher, delivered, keeper, metrics), Registry(current), settings.admin_host, refusals
        ),
        Gate(
            Limits(connections_max=_ADMIN_CONNECTIONS_MAX),
            refused=lambda why: refusals.note(why.status, why.event),
        ),
        publisher,
        {
            "publisher": publisher.run(),
            "topics": keeper.watch(),
            "schemas": current.follow(taken_up),
            "tokens": tokens.follow(use),
        },
    )


def _gate(settings: Settings, public: Public, metrics: Metrics) -> Gate:
    limits = Limits(
        settings.connections_max,
        settings.request_seconds_max,
        settings.request_seconds_max,
        settings.headers_max,
        settings.head_bytes_max,
    )
    gate = Gate(
        limits,
        refused=lambda why: public.refusals.note(why.status, why.event),
        closed=lambda reason: metrics.connections_closed.labels(reason).inc(),
    )
    metrics.watch("connections", "Connections of the public port.", lambda: len(gate.connections))
    metrics.watch("connections_max", "Connections that it may have.", lambda: limits.connections_max)
    metrics.watch("open_files", "Files and connections that are open.", descriptors.open_now)
    metrics.watch("open_files_max", "Those that the system allows.", descriptors.raise_limit)
    return gate


def _publisher(settings: Settings, topics: TopicKeeper, current: Current, metrics: Metrics) -> Publisher:
    spool = Spool(settings.spool_dir, settings.spool_bytes_max)
    set_aside = SetAside(settings.spool_dir, settings.set_aside_bytes_max)
    producer = KafkaProducer(settings.kafka)
    publisher = Publisher(
        producer,
        spool,
        topics,
        Rescue(producer, set_aside, lambda: current.catalog, metrics),
        metrics,
        acknowledge_seconds_max=settings.acknowledge_seconds_max,
    )
    metrics.watch("spool_bytes", "Bytes on disk, also those set aside.", lambda: publisher.spool_bytes)
    metrics.watch("spool_bytes_max", "Bytes that may await Kafka on disk.", lambda: spool.bytes_max)
    metrics.watch(
        "spool_oldest_seconds", "Age of the record on disk that has waited longest.", _age_of(spool)
    )
    metrics.watch("set_aside_files", "Files that no topic takes.", lambda: set_aside.files)
    metrics.watch("set_aside_bytes", "Bytes of them.", lambda: set_aside.bytes)
    metrics.watch("set_aside_bytes_max", "Bytes that they may have.", lambda: set_aside.bytes_max)
    folder = settings.spool_dir
    metrics.watch("disk_free_bytes", "Room on the spool's disk.", lambda: shutil.disk_usage(folder).free)
    metrics.watch("disk_bytes", "Size of that disk.", lambda: shutil.disk_usage(folder).total)
    metrics.watch("kafka_pending_records", "Records awaiting Kafka's report.", lambda: producer.pending)
    metrics.watch("kafka_pending_seconds", "Age of the oldest of them.", producer.oldest_seconds)
    metrics.watch("held_records", "Records held until Kafka has the spool's tail.", lambda: publisher.held)
    return publisher


def _age_of(spool: Spool) -> Callable[[], float]:
    def seconds() -> float:
        oldest_ms = spool.oldest_ms()
        return max(0.0, time.time() - oldest_ms / 1000) if oldest_ms else 0.0

    return seconds
