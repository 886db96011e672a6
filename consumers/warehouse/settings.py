"""Environment -> one frozen `Settings`, or every problem at once.

Invariants: only this module of the loader reads the environment; no secret shows in a repr.
Source: docs/settings.md; the reason of a bound stands beside it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, BeforeValidator, Field, SecretStr

from consumers.warehouse.tables import Options
from runtime import environment
from schemas.catalog.catalog import HERE

_MEBIBYTE = 1024 * 1024


def _url(value: object) -> object:
    parts = urlsplit(value) if isinstance(value, str) else None
    if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("must be `http://[user:password@]host:port` or the same with https")
    return value


class Settings(BaseModel):
    """What a loader process runs with; field names are ours, aliases are the environment's."""

    model_config = environment.CONFIG

    kafka: environment.KafkaProperties = Field(alias="KAFKA_BOOTSTRAP_SERVERS")
    clickhouse_url: Annotated[SecretStr, BeforeValidator(_url)] = Field(
        SecretStr("http://127.0.0.1:8123"), alias="CLICKHOUSE_URL"
    )
    # Loaders of one group share the partitions.
    group: str = Field("tapline.warehouse", alias="WAREHOUSE_GROUP", min_length=1)
    # A batch is inserted when one of these is reached. Rows and bytes: an insert of about a second, and three
    # batches (filling, being sent, as sent) within 200 MB. Age: most of the time from POST to a query's
    # answer.
    batch_rows_max: int = Field(100_000, alias="WAREHOUSE_BATCH_ROWS_MAX", ge=1, le=1_000_000)
    batch_bytes_max: int = Field(
        32 * _MEBIBYTE, alias="WAREHOUSE_BATCH_BYTES_MAX", ge=1024, le=512 * _MEBIBYTE
    )
    batch_age_seconds_max: float = Field(0.5, alias="WAREHOUSE_BATCH_AGE_SECONDS_MAX", ge=0.01, le=60)
    # Where registry.json and avro/ are; changes are taken up within a second or two.
    schemas_dir: Path = Field(HERE, alias="SCHEMAS_DIR")
    # Where ingest has registered them, if it has: that registry's ids are in Kafka.
    schema_registry: environment.RegistryProperties = Field({}, alias="SCHEMA_REGISTRY_URL", repr=False)
    # How long records of ours may wait for their schema, with all behind them: a folder of schemas may reach
    # the loader later than ingest. Kubernetes takes a minute to carry a changed file into all containers.
    schema_seconds_max: float = Field(15.0, alias="WAREHOUSE_SCHEMA_SECONDS_MAX", ge=0, le=3600)
    # Rows of one batch that ClickHouse refuses and that go to the quarantine; one more stops the process,
    # because then the tables or this program are wrong, not the events.
    refused_rows_max: int = Field(1000, alias="WAREHOUSE_REFUSED_ROWS_MAX", ge=0)
    # One insert; past that its connection is given up and it is tried again.
    insert_seconds_max: float = Field(120.0, alias="WAREHOUSE_INSERT_SECONDS_MAX", ge=1, le=3600)
    # How long an insert may fail for one reason, while ClickHouse answers, before its rows are tried apart.
    # Merges that lag and restarts take less; a disk that is full keeps any row from being set aside.
    stuck_seconds_max: float = Field(60.0, alias="WAREHOUSE_STUCK_SECONDS_MAX", ge=0.1, le=3600)
    # The longest pause between tries of a transient error.
    retry_seconds_max: float = Field(5.0, alias="WAREHOUSE_RETRY_SECONDS_MAX", ge=0.01, le=600)
    # How long a stop or the loss of a partition waits for what is being inserted.
    shutdown_seconds_max: float = Field(15.0, alias="WAREHOUSE_SHUTDOWN_SECONDS_MAX", ge=0.1, le=300)
    # 0: no metrics and no health. Two loaders on one machine need two ports.
    metrics_port: int = Field(0, alias="WAREHOUSE_METRICS_PORT", ge=0, le=65535)
    metrics_host: str = Field("127.0.0.1", alias="WAREHOUSE_METRICS_HOST")
    # 0: events are kept for ever. Else by their own time; the quarantine by its time of receipt.
    ttl_days: int = Field(0, alias="WAREHOUSE_TTL_DAYS", ge=0, le=36_500)
    # A day that got nothing new for this long is merged into one part, so that FINAL costs nothing there.
    settle_seconds: int = Field(600, alias="WAREHOUSE_SETTLE_SECONDS", ge=1, le=864_000)
    # Whose days and weeks the analytics views count by, a name of the time zone database (Europe/Berlin).
    # Another one than before makes `visits` anew.
    time_zone: environment.TimeZone = Field("UTC", alias="WAREHOUSE_TIME_ZONE")
    # OrderCreated and PurchaseCompleted with checkout_ids of different kinds are one order when they are at
    # most so far apart and of one device, session or shopper.
    purchase_match_minutes: int = Field(30, alias="WAREHOUSE_PURCHASE_MATCH_MINUTES", ge=1, le=1440)
    # Environments (`debug`) that no analytics view counts, comma separated. The events stay.
    environments_excluded: str = Field("", alias="WAREHOUSE_ANALYTICS_ENVIRONMENTS_EXCLUDED")
    # Name of a ClickHouse cluster: tables become Replicated and Distributed.
    cluster: str = Field("", alias="WAREHOUSE_CLUSTER", pattern=r"^[\w.{}-]*$")

    @property
    def table_options(self) -> Options:
        """What these settings say about tables and views."""
        return Options(
            ttl_days=self.ttl_days,
            settle_seconds=self.settle_seconds,
            cluster=self.cluster,
            time_zone=self.time_zone,
            match_minutes=self.purchase_match_minutes,
            environments_excluded=tuple(filter(None, map(str.strip, self.environments_excluded.split(",")))),
        )

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Return the settings in `env`. Raises: SettingsError, listing every problem by variable name."""
        return environment.read(cls, env)
