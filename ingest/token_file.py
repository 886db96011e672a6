"""A tokens file -> its tokens, reloaded when it changes; and edits that add or revoke a token.

Invariants: a changed file is used once two checks in a row find it the same, so a partial write is never
used. An edit replaces the whole file, makes it readable only by its owner, and keeps all other lines.
"""

import fcntl
import hashlib
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from runtime.command import CommandError
from runtime.tokens import Token, parse, taken_apart

_RANDOM_BYTES = 24
_ID_LENGTH = 8


class TokensError(CommandError):
    """The file cannot be used; the text says why and holds no secret."""


class TokenFile:
    """One file of tokens."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen = self._used = self._signature()

    def read(self) -> tuple[Token, ...]:
        """Return the tokens. Raises: TokensError."""
        try:
            return parse(self.path.read_text())
        except (OSError, ValueError) as error:
            words = error.strerror if isinstance(error, OSError) else error
            raise TokensError(f"{self.path}: {words}") from error

    def changed(self) -> tuple[Token, ...] | None:
        """Return the tokens if the file has changed and settled, else None. Raises: TokensError."""
        signature, before = self._signature(), self._seen
        self._seen = signature
        if signature == self._used or signature != before:
            return None
        tokens = self.read()
        self._used = signature
        return tokens

    def is_open_to_others(self) -> bool:
        """Return whether other users of this machine can read the file."""
        return bool(self.path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))

    def add(self, app_ids: list[str], now: datetime) -> str:
        """Add a token and return its secret. Raises: TokensError."""
        secret = secrets.token_urlsafe(_RANDOM_BYTES)
        bound = f":{'|'.join(app_ids)}" if app_ids else ""
        with self._locked():
            lines = self._lines()
            self._write([*lines, f"{secret}{bound}  # created {now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"])
        return secret

    def revoke(self, token_id: str) -> Token:
        """Remove the token with this id and return it. Raises: TokensError."""
        with self._locked():
            tokens = self.read()
            found = [token for token in tokens if id_of(token).startswith(token_id)]
            if len(found) != 1:
                raise TokensError(f"{len(found)} tokens have an id that begins with {token_id!r}")
            if len(tokens) == 1:
                raise TokensError("this is the last token, and ingest needs one: create a new one first")
            self._write(list(_without(self._lines(), found[0].secret)))
        return found[0]

    def _lines(self) -> list[str]:
        try:
            return self.path.read_text().splitlines()
        except FileNotFoundError:
            return []
        except (OSError, ValueError) as error:
            raise TokensError(f"{self.path}: {error}") from error

    def _write(self, lines: list[str]) -> None:
        text = "".join(f"{line}\n" for line in lines)
        try:
            parse(text)
            write_secret(self.path, text)
        except (OSError, ValueError) as error:
            raise TokensError(f"{self.path}: {error}") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        path = self.path.with_name(f"{self.path.name}.lock")
        try:
            file = path.open("w")
        except OSError as error:
            raise TokensError(f"{path}: {error.strerror}") from error
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _signature(self) -> tuple[int, ...]:
        try:
            found = self.path.stat()
        except OSError:
            return ()
        return found.st_ino, found.st_size, found.st_mtime_ns


def id_of(token: Token) -> str:
    """Return an id that does not reveal the secret: the beginning of its SHA-256."""
    return hashlib.sha256(token.secret.encode()).hexdigest()[:_ID_LENGTH]


def write_secret(path: Path, text: str) -> None:
    """Write a file atomically, readable only by its owner. Raises: OSError."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def _without(lines: list[str], secret: str) -> Iterator[str]:
    for line in lines:
        entries, note = taken_apart(line)
        kept = [entry for entry in entries if entry.partition(":")[0] != secret]
        if len(kept) == len(entries):
            yield line
        elif kept:
            yield ", ".join(kept) + (f"  # {note}" if note else "")
