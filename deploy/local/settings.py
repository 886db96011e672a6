"""Environment -> settings of the one-machine stack, or all their problems at once.

Invariant: the services' own variables are passed on to them unchanged. Source: ports and names are the public
contract in docs/settings.md.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, SecretStr

from deploy.local.errors import WrongSettingsError
from runtime import environment

ROOT = Path(__file__).resolve().parents[2]


class Settings(BaseModel):
    """The stack's own settings; aliases are the names of environment variables."""

    model_config = environment.CONFIG

    data_dir: Path = Field(
        Path("data"), alias="DATA_DIR", description="Folder in which the one-machine stack keeps everything."
    )
    # Kafka's jars; several data folders can share it.
    cache_dir: Path = Field(
        ROOT / ".cache",
        alias="TAPLINE_CACHE",
        description="Folder of Kafka's jars. Several data folders can share it.",
    )
    ingest_host: str = Field("127.0.0.1", alias="INGEST_HOST")
    ingest_port: int = Field(8080, alias="INGEST_PORT", ge=1, le=65535)
    ingest_admin_host: str = Field("127.0.0.1", alias="INGEST_ADMIN_HOST")
    # Unset: 8083, or another port if that is taken, as by a second stack on this machine.
    ingest_admin_port: int | None = Field(None, alias="INGEST_ADMIN_PORT", ge=1, le=65535)
    ingest_tokens: SecretStr = Field(SecretStr(""), alias="INGEST_TOKENS")
    ingest_tokens_file: Path | None = Field(None, alias="INGEST_TOKENS_FILE")
    live_host: str = Field("127.0.0.1", alias="LIVE_HOST")
    live_port: int = Field(8081, alias="LIVE_PORT", ge=1, le=65535)
    live_token: SecretStr = Field(SecretStr(""), alias="LIVE_TOKEN")
    prometheus_port: int = Field(
        9090, alias="PROMETHEUS_PORT", ge=1, le=65535, description="Port of `make prometheus`."
    )
    # Unset: 8082, or none if that is taken, as by a second stack on this machine.
    warehouse_metrics_port: int | None = Field(None, alias="WAREHOUSE_METRICS_PORT", ge=0, le=65535)
    warehouse_metrics_host: str = Field("127.0.0.1", alias="WAREHOUSE_METRICS_HOST")
    clickhouse_host: str = Field("127.0.0.1", alias="CLICKHOUSE_HOST")
    clickhouse_port: int = Field(8123, alias="CLICKHOUSE_PORT", ge=1, le=65535)
    clickhouse_password: SecretStr = Field(SecretStr(""), alias="CLICKHOUSE_PASSWORD")
    # Set: use an external ClickHouse, and start none.
    clickhouse_url: environment.ClickHouseUrl = Field(SecretStr(""), alias="CLICKHOUSE_URL")
    # Not KAFKA_HOST, because every KAFKA_* except the port is a property of the Kafka clients.
    kafka_host: str = Field(
        "127.0.0.1", alias="TAPLINE_KAFKA_HOST", description="Address of the stack's Kafka."
    )
    kafka_port: int = Field(
        9092,
        alias="KAFKA_PORT",
        ge=1,
        le=65534,
        description="Port of the stack's Kafka. Its controller uses the next port.",
    )
    # `KAFKA_BOOTSTRAP_SERVERS` set: use an external Kafka, and start none.
    kafka: environment.AnyKafkaProperties = Field({}, alias="KAFKA_BOOTSTRAP_SERVERS", repr=False)
    # The URL that Tapcart posts to, without the path.
    public_url: str = Field("", alias="TAPLINE_PUBLIC_URL", pattern=r"^(https?://[^/]+)?$")
    start_seconds_max: float = Field(
        120.0,
        alias="TAPLINE_START_SECONDS_MAX",
        ge=1,
        le=3600,
        description="How long a service of the stack may take to start.",
    )
    disk_free_bytes_min: int = Field(
        512 * 1024 * 1024,
        alias="TAPLINE_DISK_FREE_BYTES_MIN",
        ge=0,
        description="Free disk space that `make run` requires.",
    )

    @property
    def kafka_bootstrap_servers(self) -> str:
        """The address of an external Kafka; empty if there is none."""
        return self.kafka.get("bootstrap.servers", "")

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Return the settings in `env`. Raises: WrongSettingsError naming all problems."""
        try:
            return environment.read(cls, env)
        except environment.SettingsError as error:
            raise WrongSettingsError(str(error)) from None
