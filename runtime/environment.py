"""Settings from the environment, and logs as JSON: the same for all processes.

Invariants: a process that cannot start reports all invalid settings at once, by variable. No message holds a
value, which may be a secret. A log line is one JSON object; its `event` is a name, its data are separate
fields.
"""

import logging
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, get_args
from urllib.parse import parse_qsl, urlsplit
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from pythonjsonlogger.core import RESERVED_ATTRS
from pythonjsonlogger.json import JsonFormatter

from runtime import secret_files
from runtime.command import CommandError
from runtime.kafka import property_checks, topics

CONFIG = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

_Settings = TypeVar("_Settings", bound=BaseModel)

# A traceback fits; of a longer text only the beginning and the end are kept.
_LOG_CHARS_MAX, _LOG_ITEMS_MAX, _LOG_DEPTH_MAX = 8_000, 100, 4


class StartError(CommandError):
    """The process cannot start; the text lists every problem, one per line."""

    exit_status = 2


class SettingsError(StartError, ValueError):
    """The environment holds invalid settings; the text lists all of them, one per line."""


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


def _clickhouse_url(value: object) -> object:
    """Check `http[s]://[user:password@]host:port[/?ca_cert=FILE]`."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    parts = urlsplit(text)
    if not _is_url(text):
        raise ValueError("must be `http://[user:password@]host:port` or the same with https")
    for name, given in parse_qsl(parts.query, keep_blank_values=True):
        if name != "ca_cert" or parts.scheme != "https":
            raise ValueError("may have only `?ca_cert=FILE`, and only with https")
        try:
            Path(given).open("rb").close()
        except OSError as error:
            raise ValueError(f"ca_cert: {given}: {error.strerror}") from None
    return SecretStr(text.strip())


def _needs_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("must be a name of the time zone database, such as Europe/Berlin")
    return name


# The time zone of calendar days; ClickHouse and Python use the same database.
TimeZone = Annotated[str, AfterValidator(_needs_zone)]
# Base URLs of several processes, comma separated.
BaseUrls = Annotated[tuple[str, ...], BeforeValidator(_base_urls)]
# ClickHouse, with a login, and the file of a private authority.
ClickHouseUrl = Annotated[SecretStr, BeforeValidator(_clickhouse_url)]
# librdkafka properties from the environment; the alias of such a field is KAFKA_BOOTSTRAP_SERVERS.
AnyKafkaProperties = Annotated[dict[str, str], AfterValidator(property_checks.are_usable)]
KafkaProperties = Annotated[AnyKafkaProperties, AfterValidator(property_checks.has_servers)]
# Properties of Confluent's registry client; the field's alias is SCHEMA_REGISTRY_URL. Empty: no registry.
RegistryProperties = Annotated[dict[str, str], AfterValidator(_needs_url)]
_PROPERTIES = {"KAFKA_BOOTSTRAP_SERVERS": "KAFKA_", "SCHEMA_REGISTRY_URL": "SCHEMA_REGISTRY_"}


def read(
    settings: type[_Settings], env: Mapping[str, str], *, defaults: Mapping[str, Any] | None = None
) -> _Settings:
    """Read `env` into `settings`, whose aliases are variable names. Empty variables count as unset.

    A secret setting may be in the file that `<its name>_FILE` names. Raises: SettingsError.
    """
    env, unreadable = secret_files.resolved(env, lambda name: has_file_form(settings, name))
    given: dict[str, Any] = {**(defaults or {}), **{name: value for name, value in env.items() if value}}
    for field in settings.model_fields.values():
        if _is_properties(field):
            given[str(field.alias)] = topics.client_properties(env, _PROPERTIES[str(field.alias)])
    problems = [*unreadable.values()]
    try:
        found = settings.model_validate(given)
    except ValidationError as error:
        others = [one for one in error.errors() if not set(one["loc"]) & unreadable.keys()]
        problems += map(_line, others)
    if problems:
        raise SettingsError("\n".join(dict.fromkeys(problems)))
    return found


def has_file_form(settings: type[BaseModel], name: str) -> bool:
    """Return whether `name` is a secret setting that `read` also takes from the file `<name>_FILE`."""
    fields = settings.model_fields.values()
    aliases = {field.alias for field in fields}
    if name + secret_files.SUFFIX in aliases:  # the process reads, and perhaps reloads, the file itself
        return False
    prefixes = tuple(prefix_of(field) for field in fields if _is_properties(field))
    return name.startswith(prefixes) or any(field.alias == name and is_secret(field) for field in fields)


def prefix_of(field: FieldInfo) -> str:
    """Return the prefix of the variables that make up a field; empty for one variable."""
    return _PROPERTIES[str(field.alias)] if _is_properties(field) else ""


def is_secret(field: FieldInfo) -> bool:
    """Return whether a field holds a secret."""
    return SecretStr in (field.annotation, *get_args(field.annotation)) or not field.repr


def _is_properties(field: FieldInfo) -> bool:
    return field.annotation == dict[str, str] and field.alias is not None


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
    is_named = message.startswith("KAFKA_") or not problem["loc"]
    return message if is_named else f"{problem['loc'][0]}: {message}"
