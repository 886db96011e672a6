"""Environment -> one frozen `Settings`, or all its problems at once.

Invariants: only this module of the live page reads the environment; no secret has a default or shows in a
repr; without a token the page is never open to other machines. Source: docs/settings.md.
Comments explain the bounds.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, Field, SecretStr, model_validator

from consumers.kit.erasures.key_file import key_of
from runtime import environment
from runtime.http import hosts
from schemas.catalog.catalog import HERE


def _base_url(value: object) -> object:
    text = value.rstrip("/") if isinstance(value, str) else ""
    if text and (urlsplit(text).scheme not in {"http", "https"} or not urlsplit(text).hostname):
        raise ValueError("must be `http://host:port` or `https://host:port`")
    return text


class Settings(BaseModel):
    """The settings of a live page process; aliases are the names of environment variables."""

    model_config = environment.CONFIG

    host: str = Field("127.0.0.1", alias="LIVE_HOST", description="Address of the page.")
    port: int = Field(8081, alias="LIVE_PORT", ge=1, le=65535, description="Port of the page.")
    # Required as HTTP Basic (any user name) or Bearer. 16 characters, because guessing is not locked out.
    token: SecretStr | None = Field(
        None,
        alias="LIVE_TOKEN",
        min_length=16,
        description=(
            "Password of the page, with any user name; 16 characters or more. Required unless "
            "LIVE_HOST is a loopback address."
        ),
    )
    ingest_urls: environment.BaseUrls = Field(
        (),
        alias="LIVE_INGEST_URL",
        description=(
            "Admin ports of all ingest processes, comma separated, as in INGEST_ADMIN_URL. `make run` "
            "sets it. Empty: the page does not show ingest."
        ),
    )
    refresh_seconds: float = Field(
        1.0, alias="LIVE_REFRESH_SECONDS", ge=0.1, le=60, description="How often a page gets a new state."
    )
    query_seconds_max: float = Field(
        5.0,
        alias="LIVE_QUERY_SECONDS_MAX",
        ge=0.1,
        le=60,
        description="ClickHouse ends a longer query of the page; it counts as a failed poll.",
    )
    # Pauses between queries grow with their duration, so that all of them together stay within this share of
    # a core, whatever the size of the tables.
    query_share_max: float = Field(
        0.3,
        alias="LIVE_QUERY_SHARE_MAX",
        gt=0,
        le=1,
        description="The share of a core that all queries of the page may use together.",
    )
    pages_max: int = Field(
        200, alias="LIVE_PAGES_MAX", ge=1, le=10_000, description="Open pages; one more is answered 503."
    )
    silent_minutes: int = Field(
        30,
        alias="LIVE_SILENT_MINUTES",
        ge=1,
        le=60,
        description="An app is silent when it sent nothing for this long at a time when it always sends.",
    )
    apps_max: int = Field(
        50,
        alias="LIVE_APPS_MAX",
        ge=1,
        le=500,
        description="Apps watched one by one, the busiest first; all others count together.",
    )
    public_url: Annotated[str, BeforeValidator(_base_url)] = Field(
        "",
        alias="TAPLINE_PUBLIC_URL",
        description=(
            "`https://host` that Tapcart posts to, without the path. The page watches its "
            "certificate; `make url` and `make doctor` use it. Empty: no check."
        ),
    )
    group: str = Field(
        "tapline.warehouse",
        alias="LIVE_GROUP",
        min_length=1,
        description="Consumer group whose lag the page shows.",
    )
    clickhouse_url: environment.ClickHouseUrl = Field(
        SecretStr("http://127.0.0.1:8123"), alias="CLICKHOUSE_URL"
    )
    # Time zone of today's funnel and revenue; must be the loader's, which the views use.
    time_zone: environment.TimeZone = Field("UTC", alias="WAREHOUSE_TIME_ZONE")
    # Holds registry.json and avro/, for decoding the newest events.
    schemas_dir: Path = Field(HERE, alias="SCHEMAS_DIR")
    schema_registry: environment.RegistryProperties = Field({}, alias="SCHEMA_REGISTRY_URL", repr=False)
    kafka: environment.KafkaProperties = Field(alias="KAFKA_BOOTSTRAP_SERVERS", repr=False)
    # Its owner's: see the kit's settings.
    erasure_key_file: Path | None = Field(None, alias="ERASURE_KEY_FILE")
    data_dir: Path = Field(Path("data"), alias="DATA_DIR")

    @model_validator(mode="after")
    def _needs_token(self) -> Self:
        if not self.loopback and self.token is None:
            raise ValueError("LIVE_TOKEN: must be set when LIVE_HOST is not a loopback address")
        return self

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach the port."""
        return hosts.is_loopback(self.host)

    @property
    def erasure_key(self) -> bytes | None:
        """Return the key of erasures, if there is one. Raises: SettingsError."""
        return key_of(self.erasure_key_file, self.data_dir)

    def of_replay(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of a replay: this process's, plus ingest's admin port."""
        return {**({"INGEST_ADMIN_URL": ",".join(self.ingest_urls)} if self.ingest_urls else {}), **env}

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Return the settings in `env`. Raises: SettingsError, listing every problem by variable name."""
        return environment.read(cls, env)
