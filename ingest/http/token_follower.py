"""Tokens of the environment and of a file -> the tokens in use, reloaded while the process runs.

Invariant: a failed reload keeps the previous tokens; it is logged and counted.
"""

import asyncio
import logging
from collections.abc import Callable

from ingest.settings import Settings
from ingest.token_file import TokenFile, TokensError
from runtime.environment import SettingsError
from runtime.tokens import Token
from schemas.catalog.schema_reloader import CHECK_SECONDS

_LOG = logging.getLogger(__name__)


class TokenFollower:
    """Holds the tokens in use."""

    def __init__(self, settings: Settings) -> None:
        """Read the file, if one is set. Raises: SettingsError."""
        self._fixed = settings.tokens
        self._file = TokenFile(settings.tokens_file) if settings.tokens_file else None
        try:
            self.tokens = self._with_fixed(self._file.read() if self._file else ())
        except TokensError as error:
            raise SettingsError(f"INGEST_TOKENS_FILE: {error}") from error
        if self._file and self._file.is_open_to_others():
            _LOG.warning("tokens_file_open_to_others", extra={"path": str(self._file.path)})
        self.on_refused: Callable[[], object] = lambda: None  # called after each failed reload
        self._refused = ""

    async def follow(self, use: Callable[[tuple[Token, ...]], object]) -> None:
        """Call `use` with the tokens whenever they change, until cancelled."""
        while self._file:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                changed = await asyncio.to_thread(self._file.changed)
                if changed is not None:
                    self.tokens = self._with_fixed(changed)
                    use(self.tokens)
                    _LOG.info("tokens_taken_up", extra={"tokens": len(self.tokens)})
                    self._refused = ""
            except TokensError as error:
                self.on_refused()
                before, self._refused = self._refused, str(error)
                if before != self._refused:
                    _LOG.error("tokens_refused", extra={"problem": self._refused})
        await asyncio.Event().wait()

    def _with_fixed(self, tokens: tuple[Token, ...]) -> tuple[Token, ...]:
        if {token.secret for token in self._fixed} & {token.secret for token in tokens}:
            raise TokensError("a secret is also in INGEST_TOKENS")
        return self._fixed + tokens
