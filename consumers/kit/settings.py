"""Environment -> settings of a consumer of the kit, or all their problems at once.

Invariants: only this module of the kit reads the environment; no secret shows in a repr.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field

from consumers.kit.erasures.key_file import key_of
from runtime import environment
from schemas.catalog.catalog import HERE

_KAFKA = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092"}  # the address of `make run`
_INGEST = ("http://127.0.0.1:8083",)


class Settings(BaseModel):
    """The settings of a consumer; aliases are the names of environment variables."""

    model_config = environment.CONFIG

    kafka: environment.KafkaProperties = Field(alias="KAFKA_BOOTSTRAP_SERVERS", repr=False)
    # Holds registry.json and avro/; changes are loaded within a second or two.
    schemas_dir: Path = Field(HERE, alias="SCHEMAS_DIR")
    # The registry where ingest registers them, if any: its ids are in Kafka.
    schema_registry: environment.RegistryProperties = Field({}, alias="SCHEMA_REGISTRY_URL", repr=False)
    # The admin ports of all ingest processes, for `read_until_ms`, because their spools may hold events.
    # `none` if they are unreachable: then only Kafka counts.
    ingest_urls: environment.BaseUrls = Field(_INGEST, alias="INGEST_ADMIN_URL")
    erasure_key_file: Path | None = Field(
        None,
        alias="ERASURE_KEY_FILE",
        description=(
            "Key of erased people's ids (HMAC-SHA-256), 32 bytes or more, readable only by its owner: "
            "the same for `tapline erase` and for everyone who reads events. Required once somebody was "
            "erased. Default: `$DATA_DIR/erasure.key`, if it exists; `make run` creates it."
        ),
    )
    data_dir: Path = Field(Path("data"), alias="DATA_DIR")
    metrics_port: int = Field(
        0,
        alias="KIT_METRICS_PORT",
        ge=0,
        le=65535,
        description=(
            "Port of a kit consumer's `/metrics`, `/healthz` and `/readyz`; 0: none. Two consumers on "
            "one machine need two ports."
        ),
    )
    metrics_host: str = Field("127.0.0.1", alias="KIT_METRICS_HOST", description="Address of that port.")

    @property
    def erasure_key(self) -> bytes | None:
        """Return the key of erasures, if there is one. Raises: SettingsError."""
        return key_of(self.erasure_key_file, self.data_dir)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Return the settings in `env`. Raises: SettingsError, listing every problem by variable name."""
        return environment.read(cls, _KAFKA | {name: value for name, value in env.items() if value})
