"""`<SETTING>_FILE` variables -> the environment with the contents of these files as `<SETTING>`.

Every secret setting has this form. Invariants: a problem names the variable and the path, never the content;
white space around the content is no part of the secret.
"""

import logging
import stat
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

_LOG = logging.getLogger(__name__)
_LOG.addHandler(logging.NullHandler())  # a command without a log prints no event names

SUFFIX = "_FILE"
_BYTES_MAX = 64 * 1024
# Properties of librdkafka whose own names end in `.file`.
_PROPERTIES = frozenset(
    f"KAFKA_SASL_OAUTHBEARER_ASSERTION_{name}_FILE".replace("__", "_")
    for name in ("", "PRIVATE_KEY", "JWT_TEMPLATE")
)


class SecretFileError(Exception):
    """The secret cannot be read; the text names the path and the reason."""


def resolved(
    env: Mapping[str, str], is_secret: Callable[[str], bool]
) -> tuple[Mapping[str, str], dict[str, str]]:
    """Return `env` with the secrets of its files, and the problem of each setting that has one."""
    found, problems = dict(env), {}
    for setting, path in _given(env, is_secret):
        del found[setting + SUFFIX]
        if env.get(setting):
            problems[setting] = f"{setting}: set either this or {setting}{SUFFIX}, not both"
            continue
        try:
            found[setting] = content(path)
        except SecretFileError as error:
            problems[setting] = f"{setting}{SUFFIX}: {error}"
            continue
        if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            _warn(setting + SUFFIX, str(path))
    return found, problems


def content(path: Path) -> str:
    """Return the secret in a file. Raises: SecretFileError."""
    try:
        with path.open("rb") as file:
            text = file.read(_BYTES_MAX + 1).decode().strip()
    except OSError as error:
        raise SecretFileError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise SecretFileError(f"{path}: is not text") from error
    if not text:
        raise SecretFileError(f"{path}: is empty")
    if len(text) > _BYTES_MAX:
        raise SecretFileError(f"{path}: has more than {_BYTES_MAX} bytes")
    return text


def _given(env: Mapping[str, str], is_secret: Callable[[str], bool]) -> Iterator[tuple[str, Path]]:
    for name, value in env.items():
        setting = name.removesuffix(SUFFIX)
        if value and setting != name and name not in _PROPERTIES and is_secret(setting):
            yield setting, Path(value)


@cache
def _warn(variable: str, path: str) -> None:
    """Warn once in a process."""
    _LOG.warning("secret_file_open_to_others", extra={"setting": variable, "path": path})
