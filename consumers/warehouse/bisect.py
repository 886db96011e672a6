"""A range of rows of which some are refused -> which ones they are. Pure but for the caller's `insert`.

Invariants: every row that is not refused was in a call of `insert` that succeeded; a refused row was refused
alone. Rows may be inserted more than once (their identity decides). Calls: about 2 x refused x log2(rows).
"""

from collections.abc import Callable

from consumers.warehouse.errors import PermanentError, TooLargeError, TooManyRefusedError


def refused_rows(
    rows: int, insert: Callable[[int, int], None], refused_max: int
) -> list[tuple[int, PermanentError]]:
    """Insert rows 0 to `rows`; return (row, error) of those that are refused, in order.

    `insert` gets a range [start, end); what is too large as a whole is halved too.
    Raises: TooManyRefusedError beyond `refused_max`, TransientError.
    """
    refused: list[tuple[int, PermanentError]] = []
    ranges = [(0, rows)] if rows else []
    while ranges:
        start, end = ranges.pop()
        try:
            insert(start, end)
        except PermanentError as error:
            if end - start > 1:
                ranges += _halves(start, end)
                continue
            refused.append((start, error))
            if len(refused) > refused_max:
                raise TooManyRefusedError(f"{len(refused)} rows, the last for: {error.detail}") from error
        except TooLargeError:
            if end - start <= 1:
                raise
            ranges += _halves(start, end)
    return refused


def _halves(start: int, end: int) -> tuple[tuple[int, int], tuple[int, int]]:
    middle = (start + end) // 2
    return (middle, end), (start, middle)
