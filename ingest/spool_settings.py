"""Environment -> the spool's folder, and the settings of `python -m ingest.spool`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field

from runtime import environment


class SpoolSettings(BaseModel):
    """The settings of `python -m ingest.spool`."""

    model_config = environment.CONFIG

    spool_dir: Path = Field(alias="INGEST_SPOOL_DIR")
    kafka: environment.AnyKafkaProperties = Field(alias="KAFKA_BOOTSTRAP_SERVERS", repr=False)  # empty: unset

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Return the settings in `env`. Raises: SettingsError."""
        return environment.read(cls, env, defaults={"INGEST_SPOOL_DIR": spool_dir(env)})


def spool_dir(env: Mapping[str, str]) -> Path:
    """Return the spool's folder, unless a setting names another."""
    return Path(env.get("DATA_DIR") or "data") / "spool"
