"""Environment -> the frozen `Settings` of the ClickHouse front, or all their problems at once.

Invariant: the default limits protect a machine with 2 cores and 4 GiB; a query may lower them but not raise
them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, Field, SecretStr

from runtime import environment

_MEBIBYTE = 1024 * 1024


def _names(value: object) -> object:
    return frozenset(value.lower().replace(",", " ").split()) if isinstance(value, str) else value


class Settings(BaseModel):
    """The settings of the front; aliases are the names of environment variables."""

    model_config = environment.CONFIG

    host: str = Field("127.0.0.1", alias="CLICKHOUSE_HOST", description="Address of the stack's ClickHouse.")
    port: int = Field(
        8123, alias="CLICKHOUSE_PORT", ge=1, le=65535, description="Port of the stack's ClickHouse."
    )
    hostnames: Annotated[frozenset[str], BeforeValidator(_names)] = Field(
        frozenset(),
        alias="CLICKHOUSE_HOSTNAMES",
        description=(
            "Names besides localhost and CLICKHOUSE_HOST by which clients may call it, comma separated."
        ),
    )
    data_dir: Path = Field(Path("data"), alias="DATA_DIR")
    password: SecretStr = Field(
        SecretStr(""),
        alias="CLICKHOUSE_PASSWORD",
        description=(
            "Password of the stack's ClickHouse. Without one, everybody who reaches the port may query."
        ),
    )
    # File with the password: SQL can read the environment of this process, but not this file.
    password_file: Path | None = Field(
        None,
        alias="CLICKHOUSE_PASSWORD_FILE",
        description="File that holds the password, for the ClickHouse process itself. `make run` sets it.",
    )
    # All queries together; beyond it the engine ends the largest one.
    memory_bytes_max: int = Field(
        2048 * _MEBIBYTE,
        alias="CLICKHOUSE_MEMORY_BYTES_MAX",
        ge=512 * _MEBIBYTE,
        description="Memory of all queries together.",
    )
    query_memory_bytes_max: int = Field(
        1024 * _MEBIBYTE,
        alias="CLICKHOUSE_QUERY_MEMORY_BYTES_MAX",
        ge=_MEBIBYTE,
        description="Memory of one query.",
    )
    query_seconds_max: float = Field(
        60.0, alias="CLICKHOUSE_QUERY_SECONDS_MAX", gt=0, le=86_400, description="Duration of one query."
    )
    result_bytes_max: int = Field(
        4096 * _MEBIBYTE, alias="CLICKHOUSE_RESULT_BYTES_MAX", ge=1, description="Size of one query's answer."
    )
    # Reads and writes have separate limits, so that readers cannot shut the loader out.
    queries_max: int = Field(
        16, alias="CLICKHOUSE_QUERIES_MAX", ge=1, le=1000, description="Concurrent queries."
    )
    inserts_max: int = Field(
        16, alias="CLICKHOUSE_INSERTS_MAX", ge=1, le=1000, description="Concurrent inserts."
    )
    sessions_max: int = Field(
        100,
        alias="CLICKHOUSE_SESSIONS_MAX",
        ge=1,
        le=10_000,
        description=(
            "Concurrent sessions, each with a connection. One more ends the session that has been "
            "idle longest."
        ),
    )
    # After decompression. An insert's body is kept on disk until it is complete.
    body_bytes_max: int = Field(
        1024 * _MEBIBYTE,
        alias="CLICKHOUSE_BODY_BYTES_MAX",
        ge=1024,
        description="An insert's body, after decompression.",
    )
    shutdown_seconds_max: int = Field(
        10,
        alias="CLICKHOUSE_SHUTDOWN_SECONDS_MAX",
        ge=1,
        le=300,
        description="Time limit of an orderly stop.",
    )

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Return the settings in `env`. Raises: SettingsError, listing every problem by variable name."""
        return environment.read(cls, env)

    def with_password(self) -> Self:
        """Return the settings with the password of `password_file`, if that is set. Raises: SettingsError."""
        if self.password_file is None:
            return self
        try:
            password = self.password_file.read_text().strip("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise environment.SettingsError(f"CLICKHOUSE_PASSWORD_FILE: cannot be read: {error}") from error
        return self.model_copy(update={"password": SecretStr(password)})
