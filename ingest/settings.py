"""Environment -> one frozen `Settings`, or all its problems at once.

Invariants: only this module and the two that it imports read ingest's environment; no secret has a default or
shows in a repr.
Source: docs/settings.md. Comments explain the bounds.
"""

from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, IPvAnyNetwork, model_validator

from ingest.spool_settings import spool_dir
from ingest.topic_settings import TopicSettings, retention
from runtime import environment
from runtime.tokens import Token, parse
from schemas.catalog.catalog import HERE

_MEBIBYTE = 1024 * 1024


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _networks(value: object) -> object:
    return ("0.0.0.0/0", "::/0") if value == "*" else _split(value)


def _tokens(value: object) -> object:
    return parse(value) if isinstance(value, str) else value


class Settings(TopicSettings):
    """The settings of an ingest process; aliases are the names of environment variables."""

    host: str = Field("127.0.0.1", alias="INGEST_HOST", description="Address of the public port.")
    port: int = Field(
        8080, alias="INGEST_PORT", ge=1, le=65535, description="Public port: the webhook and nothing else."
    )
    admin_host: str = Field(
        "127.0.0.1",
        alias="INGEST_ADMIN_HOST",
        description=(
            "Address of the admin port. Keep it off the internet: metrics and the registry are open "
            "to all who reach it."
        ),
    )
    admin_port: int = Field(
        8083,
        alias="INGEST_ADMIN_PORT",
        ge=1,
        le=65535,
        description=(
            "Admin port: `/healthz`, `/readyz`, `/metrics`, `/registry/`. `make run` uses the next "
            "free port of 8093, 8103, ... if 8083 is taken."
        ),
    )
    tokens: Annotated[tuple[Token, ...], BeforeValidator(_tokens)] = Field(
        (),
        alias="INGEST_TOKENS",
        description=(
            "More tokens, read once at the start. `make run` passes them on in a file, because other "
            "processes may read an environment."
        ),
    )
    tokens_file: Path | None = Field(
        None,
        alias="INGEST_TOKENS_FILE",
        description=(
            "File of tokens, reloaded while ingest runs: `secret` or `secret:app1|app2`, one per line "
            "or comma separated, `#` for comments. A secret has 16 characters or more. `make run` "
            "creates `$DATA_DIR/token` at its first start. Required unless INGEST_TOKENS is set."
        ),
    )
    addresses: Annotated[tuple[IPvAnyNetwork, ...], BeforeValidator(_split)] = Field(
        (),
        alias="INGEST_ADDRESSES",
        description=(
            "Networks that may post (CIDR, comma separated). Empty: every address. Tapcart publishes none."
        ),
    )
    proxies: Annotated[tuple[IPvAnyNetwork, ...], BeforeValidator(_networks)] = Field(
        (ip_network("127.0.0.1"), ip_network("::1")),
        alias="INGEST_PROXIES",
        description=(
            "Networks of proxies whose X-Forwarded-For is trusted (CIDR, comma separated); `*` trusts "
            "every peer."
        ),
    )
    keep_alive_seconds: int = Field(
        620,
        alias="INGEST_KEEP_ALIVE_SECONDS",
        ge=1,
        le=86_400,
        description=(
            "How long an idle connection stays open. It must exceed the idle timeout of balancers "
            "(usually 600 s), or a POST can meet a connection that was just closed."
        ),
    )
    connections_max: int = Field(
        10_000,
        alias="INGEST_CONNECTIONS_MAX",
        ge=8,
        le=100_000,
        description=(
            "Concurrent connections of the public port; fewer if the process may not open so many files."
        ),
    )
    request_seconds_max: float = Field(
        20.0,
        alias="INGEST_REQUEST_SECONDS_MAX",
        ge=1,
        le=3600,
        description="How long a new connection may stay silent, and how long a request may take to arrive.",
    )
    headers_max: int = Field(
        100, alias="INGEST_HEADERS_MAX", ge=20, le=1000, description="Header lines of a request."
    )
    head_bytes_max: int = Field(
        64 * 1024,
        alias="INGEST_HEAD_BYTES_MAX",
        ge=4096,
        le=_MEBIBYTE,
        description="Bytes of a request's header lines.",
    )
    # Before and after decompression. Tapcart's events are 1-3 KB; topics.RECORD_BYTES_MAX follows from 2 MiB.
    body_bytes_max: int = Field(
        _MEBIBYTE,
        alias="INGEST_BODY_BYTES_MAX",
        ge=1024,
        le=2 * _MEBIBYTE,
        description="A body, before and after decompression.",
    )
    requests_max: int = Field(
        4096,
        alias="INGEST_REQUESTS_MAX",
        ge=1,
        le=100_000,
        description="Requests in flight; more are answered 500, which Tapcart retries.",
    )
    memory_bytes_max: int = Field(
        128 * _MEBIBYTE,
        alias="INGEST_MEMORY_BYTES_MAX",
        ge=16 * _MEBIBYTE,
        description=(
            "Bodies and records of all requests in flight; more are answered 500, which Tapcart "
            "retries. A counted byte takes up to three bytes of memory."
        ),
    )
    requests_per_second_max: int = Field(
        0,
        alias="INGEST_REQUESTS_PER_SECOND_MAX",
        ge=0,
        description=(
            "Rate limit per token; 0: no limit. More are answered 429, which Tapcart does not retry: "
            "those events are lost."
        ),
    )
    acknowledge_seconds_max: float = Field(
        2.0,
        alias="INGEST_ACKNOWLEDGE_SECONDS_MAX",
        ge=0.1,
        le=60,
        description="How long Kafka may take to acknowledge before events go to the spool.",
    )
    shutdown_seconds_max: float = Field(
        10.0, alias="INGEST_SHUTDOWN_SECONDS_MAX", ge=1, le=300, description="Time limit of an orderly stop."
    )
    linger_seconds: float = Field(
        1.0,
        alias="INGEST_LINGER_SECONDS",
        ge=0,
        le=60,
        description=(
            "At a stop, without a supervisor that keeps connections: how long an idle connection may still "
            "send a request, which is answered with `Connection: close`. Keep it longer than the idle "
            "timeout of a proxy in front."
        ),
    )
    spool_dir: Path = Field(
        alias="INGEST_SPOOL_DIR",
        description="The spool's folder, one per process. Default: `$DATA_DIR/spool`.",
    )  # DATA_DIR/spool when unset
    # 2 GiB hold about 3 million events: an hour and a half of Kafka's absence at 500 events/s.
    spool_bytes_max: int = Field(
        2048 * _MEBIBYTE,
        alias="INGEST_SPOOL_BYTES_MAX",
        ge=_MEBIBYTE,
        description="The spool's size. 2 GiB hold about 3 million events.",
    )
    set_aside_bytes_max: int = Field(
        256 * _MEBIBYTE,
        alias="INGEST_SET_ASIDE_BYTES_MAX",
        ge=_MEBIBYTE,
        description=(
            "Size of the files for records that no topic accepts. While it is full, refused records "
            "stay in the spool."
        ),
    )
    schemas_dir: Path = Field(
        HERE,
        alias="SCHEMAS_DIR",
        description=(
            "Folder of `registry.json` and `avro/`, for every process. Changes are loaded within a "
            "second or two."
        ),
    )
    schema_registry: environment.RegistryProperties = Field(
        {},
        alias="SCHEMA_REGISTRY_URL",
        repr=False,
        description=(
            "Schema registry: ingest registers every release there, and values start with its ids. "
            "Every `SCHEMA_REGISTRY_*` variable is a property of Confluent's client: "
            "`SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO` is `basic.auth.user.info`."
        ),
    )
    key: Literal["app_id", "app_id,device_id"] = Field(
        "app_id",
        alias="INGEST_KEY",
        description=(
            "Key of the events in Kafka. `app_id`: one app is one partition, in order. `app_id,device_id` "
            "spreads an app over all partitions and keeps the order of each device; the same for every "
            "ingest process. See deploy/scale.md."
        ),
    )
    redact: Path | None = Field(
        None,
        alias="INGEST_REDACT",
        description=(
            "File of rules about personal data (TOML): what to drop, hash or truncate before anything is "
            "kept. Read once at the start. See deploy/privacy.md."
        ),
    )
    redact_key_file: Path | None = Field(
        None,
        alias="INGEST_REDACT_KEY_FILE",
        description=(
            "Key of the hashes (HMAC-SHA-256), 32 bytes or more, readable only by its owner. Required for "
            "rules that hash; the same for every ingest process."
        ),
    )
    redact_unparsed: Literal["keep", "drop"] = Field(
        "drop",
        alias="INGEST_REDACT_UNPARSED",
        description=(
            "With INGEST_REDACT, bodies that are not JSON, where no rule finds its field: `keep` them "
            "verbatim in the quarantine, or `drop` them and keep the reason, the length and the SHA-256."
        ),
    )
    traces_endpoint: str = Field(
        "",
        alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description=(
            "Where traces of the public port's requests go. It needs more packages and another start "
            "command: see deploy/opentelemetry."
        ),
    )
    kafka: environment.KafkaProperties = Field(
        alias="KAFKA_BOOTSTRAP_SERVERS",
        repr=False,
        description=(
            "Kafka: `host:port`, comma separated. `make run` starts a broker at 127.0.0.1:9092 if "
            "this is unset. Every other `KAFKA_*` variable but KAFKA_PORT and KAFKA_RETENTION_* is a "
            "librdkafka property: `KAFKA_SECURITY_PROTOCOL` is `security.protocol`."
        ),
    )

    @model_validator(mode="after")
    def _needs_tokens(self) -> Self:
        if not self.tokens and not self.tokens_file:
            raise ValueError("INGEST_TOKENS_FILE: a file with tokens is needed, or INGEST_TOKENS")
        return self

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Return the settings in `env`. Raises: SettingsError, listing every problem by variable name."""
        defaults = {"INGEST_SPOOL_DIR": spool_dir(env), **retention(env)}
        return environment.read(cls, env, defaults=defaults)
