"""Environment -> settings of `python -m schemas`, or all their problems at once.

Invariants: only this module of `python -m schemas` reads the environment; no secret shows in a repr.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, SecretStr

from runtime import environment
from schemas.catalog.catalog import HERE


class Settings(BaseModel):
    """The settings of the commands; aliases are the names of environment variables."""

    model_config = environment.CONFIG

    # Holds registry.json and avro/.
    schemas_dir: Path = Field(HERE, alias="SCHEMAS_DIR")
    # `infer` reads the events from here.
    clickhouse_url: environment.ClickHouseUrl = Field(
        SecretStr("http://127.0.0.1:8123"), alias="CLICKHOUSE_URL"
    )

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Return the settings in `env`. Raises: SettingsError, listing every problem by variable name."""
        return environment.read(cls, env)
