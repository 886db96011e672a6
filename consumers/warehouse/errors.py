"""What can go wrong with a write, told apart by one question: whether the same call may succeed later."""

from consumers.kit.errors import TransientError


class TablesError(TransientError):
    """It may, once tables are made again: one is gone or lacks a column."""


class BrokenError(TransientError):
    """It may, but ClickHouse is there and fails in itself: somebody has to look."""


class TooLargeError(TransientError):
    """It may in smaller pieces."""


class PermanentError(Exception):
    """It never will: a row among those written cannot be stored."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail  # the engine's code and text


class TooManyRefusedError(Exception):
    """More rows of one batch were refused than the operator allows: the process stops."""
