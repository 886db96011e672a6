"""Settings of the stack -> ingest's tokens file, the secret in the webhook URL, and the key of erasures.

Invariant: services get tokens by file, never by environment, which other processes of the user may read.
"""

import secrets
from pathlib import Path

from consumers.kit.erasures import key_file
from deploy.local.errors import WrongSettingsError
from deploy.local.settings import Settings
from ingest.token_file import write_secret
from runtime.tokens import Token, parse

_RANDOM_BYTES, _KEY_BYTES = 24, 32


def path(settings: Settings) -> Path:
    """Return ingest's tokens file: the one that is set, else one written by `make run`."""
    if settings.ingest_tokens.get_secret_value():
        return settings.data_dir / "run" / "ingest-tokens"
    return settings.ingest_tokens_file or settings.data_dir / "token"


def keep(settings: Settings) -> Path:
    """Return that file, written if it belongs to the stack. Raises: WrongSettingsError, OSError."""
    file, given = path(settings).absolute(), settings.ingest_tokens.get_secret_value()
    if given:
        write_secret(file, given + "\n")
    elif not settings.ingest_tokens_file and not file.exists():
        write_secret(file, secrets.token_urlsafe(_RANDOM_BYTES) + "\n")
    _parsed("INGEST_TOKENS" if given else str(file), file.read_text())
    return file


def keep_erasure_key(settings: Settings) -> None:
    """Create the key of erasures in the data folder, unless there is one. Raises: OSError."""
    file = settings.data_dir / key_file.NAME
    if not file.exists():
        write_secret(file, secrets.token_hex(_KEY_BYTES) + "\n")


def secret(settings: Settings) -> str:
    """Return the first token's secret; empty if there is none yet. Raises: WrongSettingsError."""
    given, file = settings.ingest_tokens.get_secret_value(), path(settings)
    try:
        text = given or file.read_text()
    except OSError:
        return ""
    return _parsed("INGEST_TOKENS" if given else str(file), text)[0].secret


def _parsed(source: str, text: str) -> tuple[Token, ...]:
    try:
        return parse(text)
    except ValueError as error:
        raise WrongSettingsError(f"{source}: {error}") from None
