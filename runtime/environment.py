"""Settings from the environment, and logs as JSON: the same for all processes.

Invariants: a process that cannot start reports all invalid settings at once, by variable. No message holds a
value, which may be a secret. A log line is one JSON object; its `event` is a name, its data are separate
fields.
"""

import logging
from collections.abc import Mapping
from itertools import islice
from typing import Annotated, Any, TypeVar, cast
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import ErrorDetails
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from runtime.command import CommandError
from runtime.kafka import topics

CONFIG = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

_Settings = TypeVar("_Settings", bound=BaseModel)

# A traceback fits; of a longer text only the beginning and the end are kept.
_LOG_CHARS_MAX, _LOG_ITEMS_MAX, _LOG_DEPTH_MAX = 8_000, 100, 4


class StartError(CommandError):
    """The process cannot start; the text lists every problem, one per line."""

    exit_status = 2


class SettingsError(StartError, ValueError):
    """The environment holds invalid settings; the text lists all of them, one per line."""


def _needs_servers(properties: dict[str, str]) -> dict[str, str]:
    if "bootstrap.servers" not in properties:
        raise ValueError("must be `host:port`, comma separated")
    return properties


def _needs_known_properties(properties: dict[str, str]) -> dict[str, str]:
    """Have librdkafka check them as producer and as consumer properties, without connecting."""
    from confluent_kafka import Consumer, KafkaException, Producer  # noqa: PLC0415 - takes 0.1 s, only with Kafka

    own = {name: value for name, value in properties.items() if name != "bootstrap.servers"}
    quiet: dict[str, Any] = {**own, "log_level": "0"}
    try:
        Producer({**quiet, "enable.idempotence": "true"})
        Consumer({**quiet, "group.id": "tapline"}).close()
    except KafkaException as error:
        raise ValueError(f"KAFKA_*: {error.args[0].str()}") from None
    return properties


def _is_url(text: str) -> bool:
    url = urlsplit(text.strip())
    try:
        return url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:  # the port is invalid
        return False


def _base_urls(value: object) -> object:
    """Split a comma-separated list, without trailing slashes; `none` is the empty list."""
    if not isinstance(value, str):
        return value
    if value == "none":
        return ()
    urls = [part.strip().rstrip("/") for part in value.split(",") if part.strip()]
    if not all(map(_is_url, urls)):
        raise ValueError("must be `http://host:port` or the same with https, comma separated")
    return urls


def _needs_url(properties: dict[str, str]) -> dict[str, str]:
    if properties and not all(map(_is_url, properties.get("url", "").split(","))):
        raise ValueError("must be `http://[user:password@]host:port` or the same with https, comma separated")
    if properties:
        from runtime.kafka.registry_client import client  # noqa: PLC0415 - takes 15 MB and 0.1 s, only with a registry

        client(properties)
    return properties


def _needs_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("must be a name of the time zone database, such as Europe/Berlin")
    return name


# The time zone of calendar days; ClickHouse and Python use the same database.
TimeZone = Annotated[str, AfterValidator(_needs_zone)]
# Base URLs of several processes, comma separated.
BaseUrls = Annotated[tuple[str, ...], BeforeValidator(_base_urls)]
# librdkafka properties from the environment; the alias of such a field is KAFKA_BOOTSTRAP_SERVERS.
AnyKafkaProperties = Annotated[dict[str, str], AfterValidator(_needs_known_properties)]
KafkaProperties = Annotated[AnyKafkaProperties, AfterValidator(_needs_servers)]
# Properties of Confluent's registry client; the field's alias is SCHEMA_REGISTRY_URL. Empty: no registry.
RegistryProperties = Annotated[dict[str, str], AfterValidator(_needs_url)]
_PROPERTIES = {"KAFKA_BOOTSTRAP_SERVERS": "KAFKA_", "SCHEMA_REGISTRY_URL": "SCHEMA_REGISTRY_"}


def read(
    settings: type[_Settings], env: Mapping[str, str], *, defaults: Mapping[str, Any] | None = None
) -> _Settings:
    """Read `env` into `settings`, whose aliases are variable names. Empty variables count as unset.

    Raises: SettingsError.
    """
    given: dict[str, Any] = {**(defaults or {}), **{name: value for name, value in env.items() if value}}
    for field in settings.model_fields.values():
        if field.annotation == dict[str, str] and field.alias:
            given[field.alias] = topics.client_properties(env, _PROPERTIES[field.alias])
    try:
        return settings.model_validate(given)
    except ValidationError as error:
        raise SettingsError("\n".join(dict.fromkeys(map(_line, error.errors())))) from None


class _BoundedFormatter(JsonFormatter):
    """A record -> one line of ASCII, with texts and lists of bounded length."""

    def process_log_record(self, log_data: dict[str, Any]) -> dict[str, Any]:
        """Bound all data of the line."""
        return cast("dict[str, Any]", _bounded(super().process_log_record(log_data)))


def _bounded(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        rest = len(value) - _LOG_CHARS_MAX
        return (
            value
            if rest <= 0
            else f"{value[: _LOG_CHARS_MAX // 2]}… {rest} more …{value[-_LOG_CHARS_MAX // 2 :]}"
        )
    if depth > _LOG_DEPTH_MAX:
        return "…"
    if isinstance(value, Mapping):
        return {
            _bounded(str(name)): _bounded(part, depth + 1)
            for name, part in islice(value.items(), _LOG_ITEMS_MAX)
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_bounded(part, depth + 1) for part in islice(value, _LOG_ITEMS_MAX)]
    return value


def log_as_json() -> None:
    """Write all logs of this process to standard error as JSON."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        _BoundedFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"message": "event"},
            reserved_attrs=[*RESERVED_ATTRS, "color_message"],  # uvicorn's, for terminals
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(capture=True)


def _line(problem: ErrorDetails) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    # A rule about several settings names them in its message.
    is_named = message.startswith("KAFKA_*: ") or not problem["loc"]
    return message if is_named else f"{problem['loc'][0]}: {message}"
