"""Rows of which some are rejected -> the rejected ones. Pure, except for the given functions.

Invariants: every accepted row was in a successful call of `insert`; a rejected row was rejected alone. Rows
may be inserted more than once (their identity decides). Calls: one for each rejected suspect, and about 2 x
log2(rows) for each rejected row that was not suspect.
"""

from collections.abc import Callable, Sequence

from consumers.warehouse.errors import InsertTooLargeError, PermanentError, StuckError, TooManyRefusedError


def refused_rows(
    rows: int, insert: Callable[[Sequence[int]], None], is_suspect: Callable[[int], bool], refused_max: int
) -> list[tuple[int, PermanentError]]:
    """Insert rows 0 to `rows`; return (row, error) of the rejected ones, in order.

    `insert` gets rows in order: first all, then, if they are rejected, suspects one by one and the others
    together. A piece that is rejected, too large or stuck is halved. Raises: TooManyRefusedError beyond
    `refused_max`, TransientError.
    """
    refused: dict[int, PermanentError] = {}
    pieces: list[Sequence[int]] = [range(rows)] if rows else []
    while pieces:
        piece = pieces.pop()
        try:
            insert(piece)
        except PermanentError as error:
            if len(piece) == 1:
                refused[piece[0]] = error
                if len(refused) > refused_max:
                    raise TooManyRefusedError(f"{len(refused)} rows, the last for: {error.detail}") from error
            elif len(piece) == rows:
                pieces += _by_suspicion(piece, is_suspect, refused_max)
            else:
                pieces += _halves(piece)
        except (InsertTooLargeError, StuckError):
            if len(piece) == 1:
                raise
            pieces += _halves(piece)
    return sorted(refused.items())


def _by_suspicion(
    piece: Sequence[int], is_suspect: Callable[[int], bool], suspects_max: int
) -> list[Sequence[int]]:
    suspects = [row for row in piece if is_suspect(row)]
    if not 0 < len(suspects) <= suspects_max:
        return _halves(piece)
    others = sorted({*piece}.difference(suspects))
    alone: list[Sequence[int]] = [[row] for row in reversed(suspects)]
    return [*alone, others] if others else alone


def _halves(piece: Sequence[int]) -> list[Sequence[int]]:
    middle = len(piece) // 2
    return [piece[middle:], piece[:middle]]
