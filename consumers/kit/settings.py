"""Environment -> what a consumer of the kit runs with, or every problem at once.

Invariants: only this module of the kit reads the environment; no secret shows in a repr.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field

from runtime import environment
from schemas.catalog.catalog import HERE

_KAFKA = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092"}  # where `make run` is
_INGEST = ("http://127.0.0.1:8083",)


class Settings(BaseModel):
    """Field names are ours, aliases are the environment's."""

    model_config = environment.CONFIG

    kafka: environment.KafkaProperties = Field(alias="KAFKA_BOOTSTRAP_SERVERS", repr=False)
    # Where registry.json and avro/ are; changes are taken up within a second or two.
    schemas_dir: Path = Field(HERE, alias="SCHEMAS_DIR")
    # Where ingest has registered them, if it has: that registry's ids are in Kafka.
    schema_registry: environment.RegistryProperties = Field({}, alias="SCHEMA_REGISTRY_URL", repr=False)
    # The admin ports of all ingest processes, for `read_until_ms`: their spools may hold what is to come.
    # `none` where they cannot be asked: then it goes by Kafka alone.
    ingest_urls: environment.BaseUrls = Field(_INGEST, alias="INGEST_ADMIN_URL")
    # 0: no metrics and no health. Two consumers on one machine need two ports.
    metrics_port: int = Field(0, alias="KIT_METRICS_PORT", ge=0, le=65535)
    metrics_host: str = Field("127.0.0.1", alias="KIT_METRICS_HOST")

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Return the settings in `env`. Raises: SettingsError, listing every problem by variable name."""
        return environment.read(cls, _KAFKA | {name: value for name, value in env.items() if value})
