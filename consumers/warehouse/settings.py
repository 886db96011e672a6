"""Environment -> one frozen `Settings`, or every problem at once.

Invariants: only this module of the loader reads the environment; no secret shows in a repr.
Source: docs/settings.md; the reason for a bound stands beside it.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, Field, SecretStr

from consumers.kit.erasures.key_file import key_of
from consumers.warehouse.tables import Options
from runtime import environment
from schemas.catalog.catalog import HERE

_MEBIBYTE = 1024 * 1024


_DAYS_MAX = 20_000  # a DateTime ends in 2106; after that, ClickHouse takes a row for expired


def _days_by_table(value: object) -> object:
    """Parse `product_viewed=90,quarantine=30`."""
    if not isinstance(value, str):
        return value
    pairs = [pair.partition("=") for pair in value.split(",") if pair.strip()]
    days = {name.strip(): text.strip() for name, _, text in pairs}
    is_valid = all(
        re.fullmatch(r"\w+", name) and re.fullmatch(r"[0-9]{1,5}", text) for name, text in days.items()
    )
    if not is_valid or len(days) < len(pairs) or any(int(text) > _DAYS_MAX for text in days.values()):
        raise ValueError(
            f"must be `table=days`, comma separated, each table once, at most {_DAYS_MAX:,} days"
        )
    return {name: int(text) for name, text in days.items()}


class Settings(BaseModel):
    """Settings of a loader process; field names are ours, aliases are the environment's."""

    model_config = environment.CONFIG

    kafka: environment.KafkaProperties = Field(alias="KAFKA_BOOTSTRAP_SERVERS", repr=False)
    clickhouse_url: environment.ClickHouseUrl = Field(
        SecretStr("http://127.0.0.1:8123"),
        alias="CLICKHOUSE_URL",
        description=(
            "ClickHouse: `http://[user:password@]host:port`; with TLS and a private authority "
            "`https://user:password@host:port/?ca_cert=FILE`. `make run` starts one if this is unset."
        ),
    )
    group: str = Field(
        "tapline.warehouse",
        alias="WAREHOUSE_GROUP",
        min_length=1,
        description="Consumer group. Loaders of one group share the partitions.",
    )
    # A batch is inserted when one of these is reached. Rows and bytes bound it while the loader catches up:
    # an insert takes about two seconds, and the loader 250 MiB (docs/decisions/0016-loader.md). Age: it is
    # most of the time from POST to a query's answer.
    batch_rows_max: int = Field(
        100_000,
        alias="WAREHOUSE_BATCH_ROWS_MAX",
        ge=1,
        le=1_000_000,
        description="Rows of a batch. A batch is inserted when its rows, bytes or age reach their limit.",
    )
    batch_bytes_max: int = Field(
        64 * _MEBIBYTE,
        alias="WAREHOUSE_BATCH_BYTES_MAX",
        ge=1024,
        le=512 * _MEBIBYTE,
        description="Bytes of a batch.",
    )
    batch_age_seconds_max: float = Field(
        0.5,
        alias="WAREHOUSE_BATCH_AGE_SECONDS_MAX",
        ge=0.01,
        le=60,
        description="Age of a batch. Larger batches cost ClickHouse less CPU; events become queryable later.",
    )
    # 0.4 halves what ClickHouse takes at 1,000 events/s, and the slowest events are queryable 0.4 s later.
    insert_share_max: float = Field(
        0.4,
        alias="WAREHOUSE_INSERT_SHARE_MAX",
        ge=0.01,
        le=1,
        description="Share of the time that inserts of small batches may take; batches grow instead.",
    )
    # The folder of registry.json and avro/; changes are reloaded within one or two seconds.
    schemas_dir: Path = Field(HERE, alias="SCHEMAS_DIR")
    # The registry in which ingest has registered them, if any; its ids are in Kafka.
    schema_registry: environment.RegistryProperties = Field({}, alias="SCHEMA_REGISTRY_URL", repr=False)
    # The key of ingest's hashes, for commands that look for a person.
    redact_key_file: Path | None = Field(None, alias="INGEST_REDACT_KEY_FILE")
    erasure_key_file: Path | None = Field(None, alias="ERASURE_KEY_FILE")
    data_dir: Path = Field(Path("data"), alias="DATA_DIR")
    schema_seconds_max: float = Field(
        15.0,
        alias="WAREHOUSE_SCHEMA_SECONDS_MAX",
        ge=0,
        le=3600,
        description=(
            "How long our own records, and all behind them, wait once for a schema that is not in the "
            "loader's folder yet. Kubernetes takes a minute to copy a changed file into all "
            "containers."
        ),
    )
    # ClickHouse may reject this many intact rows of one batch; they go to the quarantine. One more stops the
    # process, because then the tables or this program are wrong, not the events.
    refused_rows_max: int = Field(
        1000,
        alias="WAREHOUSE_REFUSED_ROWS_MAX",
        ge=0,
        description="Intact rows of one batch that ClickHouse may reject. One more stops the loader.",
    )
    insert_seconds_max: float = Field(
        120.0,
        alias="WAREHOUSE_INSERT_SECONDS_MAX",
        ge=1,
        le=3600,
        description="Timeout of one insert. The loader then closes the connection and retries.",
    )
    # How long an insert may fail for one reason, while ClickHouse answers, before its rows are tried one by
    # one. Lagging merges and restarts take less. With a full disk, no row can be quarantined.
    stuck_seconds_max: float = Field(
        60.0,
        alias="WAREHOUSE_STUCK_SECONDS_MAX",
        ge=0.1,
        le=3600,
        description=(
            "How long an insert may fail for one reason, while ClickHouse answers, before its rows "
            "are tried one by one."
        ),
    )
    retry_seconds_max: float = Field(
        5.0,
        alias="WAREHOUSE_RETRY_SECONDS_MAX",
        ge=0.01,
        le=600,
        description="The longest pause between retries of a transient error.",
    )
    shutdown_seconds_max: float = Field(
        15.0,
        alias="WAREHOUSE_SHUTDOWN_SECONDS_MAX",
        ge=0.1,
        le=300,
        description="Time limit of an orderly stop, or of giving a partition away.",
    )
    metrics_port: int = Field(
        0,
        alias="WAREHOUSE_METRICS_PORT",
        ge=0,
        le=65535,
        description=(
            "Port of the loader's `/metrics`, `/healthz` and `/readyz`; 0: none. `make run` uses 8082 "
            "if it is free. Two loaders on one machine need two ports."
        ),
    )
    metrics_host: str = Field(
        "127.0.0.1", alias="WAREHOUSE_METRICS_HOST", description="Address of that port."
    )
    ttl_days: int = Field(
        0,
        alias="WAREHOUSE_TTL_DAYS",
        ge=0,
        le=_DAYS_MAX,
        description=(
            "How long rows are kept, by the event's time; the quarantine by its time of receipt. A change "
            "holds for existing tables at the loader's next start. 0: forever, or as long as a table says."
        ),
    )
    ttl_days_by_table: Annotated[dict[str, int], BeforeValidator(_days_by_table)] = Field(
        {},
        alias="WAREHOUSE_TTL_DAYS_BY_TABLE",
        description=(
            "The same for single tables (`product_viewed=90,quarantine=30`), which WAREHOUSE_TTL_DAYS then "
            "does not change. `tapline retention` shows what each table keeps."
        ),
    )
    settle_seconds: int = Field(
        600,
        alias="WAREHOUSE_SETTLE_SECONDS",
        ge=1,
        le=864_000,
        description=(
            "A day without new events for this long is merged into one part, so FINAL costs nothing there."
        ),
    )
    time_zone: environment.TimeZone = Field(
        "UTC",
        alias="WAREHOUSE_TIME_ZONE",
        description=(
            "Time zone of days and weeks in the analytics views and in the page's funnel and revenue "
            "(`Europe/Berlin`). A change rebuilds `visits`."
        ),
    )
    purchase_match_minutes: int = Field(
        30,
        alias="WAREHOUSE_PURCHASE_MATCH_MINUTES",
        ge=1,
        le=1440,
        description=(
            "OrderCreated and PurchaseCompleted with checkout_ids of different kinds are one order if "
            "they are at most this far apart, from one device, session or shopper."
        ),
    )
    environments_excluded: str = Field(
        "",
        alias="WAREHOUSE_ANALYTICS_ENVIRONMENTS_EXCLUDED",
        description="Environments that no analytics view counts, comma separated (`debug`). The events stay.",
    )
    cluster: str = Field(
        "",
        alias="WAREHOUSE_CLUSTER",
        pattern=r"^[\w.{}-]*$",
        description="Name of a ClickHouse cluster: tables become Replicated and Distributed.",
    )

    @property
    def table_options(self) -> Options:
        """Return what these settings say about tables and views."""
        return Options(
            ttl_days=self.ttl_days,
            ttl_days_by_table=self.ttl_days_by_table,
            settle_seconds=self.settle_seconds,
            cluster=self.cluster,
            time_zone=self.time_zone,
            match_minutes=self.purchase_match_minutes,
            environments_excluded=tuple(filter(None, map(str.strip, self.environments_excluded.split(",")))),
        )

    @property
    def erasure_key(self) -> bytes | None:
        """Return the key of erasures, if there is one. Raises: SettingsError."""
        return key_of(self.erasure_key_file, self.data_dir)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Return the settings in `env`. Raises: SettingsError, which lists every problem by variable name."""
        return environment.read(cls, env)
