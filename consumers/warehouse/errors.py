"""What can go wrong with a write, told apart by one question: whether the same call may succeed later."""

from consumers.kit.errors import TransientError


class ServerError(TransientError):
    """It may: ClickHouse answers, with an error that passes as a rule."""

    def __init__(self, text: str, code: int | None) -> None:
        super().__init__(text)
        self.code = code


class TablesError(ServerError):
    """It may, once tables are made again: one is gone or lacks a column."""


class BrokenError(ServerError):
    """It may, but ClickHouse is there and fails in itself: somebody has to look."""


class InsertTooLargeError(ServerError):
    """It may in smaller pieces."""


class StuckError(TransientError):
    """In smaller pieces it may: it failed again and again for one reason, while ClickHouse answered."""


class PermanentError(Exception):
    """It never will: a row among those written cannot be stored."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail  # the engine's code and text


class SetAsideError(PermanentError):
    """It has not for so long that the rest goes on without it: a row that fails while others are stored."""


class TooManyRefusedError(Exception):
    """More rows of one batch were refused than the operator allows: the process stops."""
