"""Errors of a write, distinguished by whether the same call may succeed later."""

from typing import ClassVar

from consumers.kit.decode import DAMAGED, REFUSED, SET_ASIDE
from consumers.kit.errors import TransientError


class ServerError(TransientError):
    """May succeed later: ClickHouse answers with an error that usually passes."""

    def __init__(self, text: str, code: int | None) -> None:
        super().__init__(text)
        self.code = code


class TablesError(ServerError):
    """May succeed once the tables are repaired: one is missing or lacks a column."""


class BrokenError(ServerError):
    """May succeed later, but ClickHouse has an internal failure that needs an operator."""


class InsertTooLargeError(ServerError):
    """May succeed in smaller pieces."""


class StuckError(TransientError):
    """May succeed in smaller pieces: it kept failing for one reason while ClickHouse answered."""


class PermanentError(Exception):
    """Will never succeed: one of the rows cannot be stored."""

    reason: ClassVar[str] = REFUSED  # in the quarantine

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail  # the engine's code and text


class SetAsideError(PermanentError):
    """A row kept failing for so long, while others were stored, that loading continues without it."""

    reason = SET_ASIDE


class DamagedRowError(PermanentError):
    """A row of a rejected batch is no value of its schema, by our own decoder."""

    reason = DAMAGED


class TooManyRefusedError(Exception):
    """ClickHouse rejected more intact rows of one batch than the operator allows: the process stops."""


# Exit status of a repair command that one of these ends; 1 means that it ran and found something.
FAILURES = {TransientError: 2, TooManyRefusedError: 2, OSError: 2}
