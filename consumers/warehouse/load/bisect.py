"""Rows of which some are rejected -> the rejected ones. Pure, except for the given functions.

Invariants: every accepted row was in a successful call of `insert`; a refused row was found by `damaged`, or
was rejected alone. Rows may be inserted more than once (their identity decides). Calls of `insert`: one more
for all damaged rows together, and about 2 x log2(rows) for each other rejected row.
"""

from collections.abc import Callable, Mapping, Sequence

from consumers.warehouse.errors import (
    InsertTooLargeError,
    PermanentError,
    SetAsideError,
    StuckError,
    TooManyRefusedError,
)


def refused_rows(
    rows: int,
    insert: Callable[[Sequence[int]], None],
    damaged: Callable[[Sequence[int]], Mapping[int, PermanentError]],
    refused_max: int,
) -> list[tuple[int, PermanentError]]:
    """Insert rows 0 to `rows`; return (row, error) of the refused ones, in order.

    `insert` gets rows in order: first all, then, if they are rejected, those that `damaged` does not return.
    A piece that is rejected again, too large or stuck is halved. Raises: TooManyRefusedError if more than
    `refused_max` rows are rejected that are not damaged, TransientError.
    """
    found: dict[int, PermanentError] = {}
    refused: dict[int, PermanentError] = {}
    pieces: list[tuple[Sequence[int], bool]] = [(range(rows), False)] if rows else []
    while pieces:
        piece, is_checked = pieces.pop()
        try:
            insert(piece)
        except PermanentError as error:
            if not is_checked and not isinstance(error, SetAsideError):
                found |= damaged(piece)
                if rest := [row for row in piece if row not in found]:
                    pieces.append((rest, True))
            elif len(piece) > 1:
                pieces += _halves(piece, is_checked=True)
            else:
                refused[piece[0]] = error.with_traceback(None)  # or it would hold this frame, a cycle
                if len(refused) > refused_max:
                    raise TooManyRefusedError(f"{len(refused)} rows, the last for: {error.detail}") from error
        except (InsertTooLargeError, StuckError):
            if len(piece) == 1:
                raise
            pieces += _halves(piece, is_checked=is_checked)
    return sorted((found | refused).items())


def _halves(piece: Sequence[int], *, is_checked: bool) -> list[tuple[Sequence[int], bool]]:
    middle = len(piece) // 2
    return [(piece[middle:], is_checked), (piece[:middle], is_checked)]
