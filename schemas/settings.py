"""Environment -> what `python -m schemas` runs with, or every problem at once.

Invariants: only this module of `python -m schemas` reads the environment; no secret shows in a repr.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, SecretStr

from runtime import environment
from schemas.catalog.catalog import HERE


class Settings(BaseModel):
    """What the commands run with; field names are ours, aliases are the environment's."""

    model_config = environment.CONFIG

    # Where registry.json and avro/ are.
    schemas_dir: Path = Field(HERE, alias="SCHEMAS_DIR")
    # Where `infer` finds what arrived.
    clickhouse_url: SecretStr = Field(SecretStr("http://127.0.0.1:8123"), alias="CLICKHOUSE_URL")

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Return the settings in `env`. Raises: SettingsError, listing every problem by variable name."""
        return environment.read(cls, env)
