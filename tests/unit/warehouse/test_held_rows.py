"""The rows of an answer of ClickHouse, or its error in their place."""

from collections.abc import Iterator

import pytest
from urllib3.exceptions import ProtocolError

from consumers.kit.errors import TransientError
from consumers.warehouse.privacy.held_rows import whole_rows


def test_rows_are_passed_on() -> None:
    """Without the ends of their lines."""
    assert [*whole_rows([b'{"a":"}"}\n', b'{"a":2}\n'])] == [b'{"a":"}"}', b'{"a":2}']


@pytest.mark.parametrize(
    "end", [b"Code: 241. DB::Exception: Memory limit exceeded\n", b'{"a":"cut of', b"\n"]
)
def test_an_answer_that_ends_in_an_error_is_no_export(end: bytes) -> None:
    """Half of a person's data must not look like all of it."""
    with pytest.raises(TransientError, match="ClickHouse: "):
        [*whole_rows([b'{"a":1}\n', end])]


def test_a_connection_that_breaks_is_no_export_either() -> None:
    """The reader of the answer raises it."""

    def broken() -> Iterator[bytes]:
        yield b'{"a":1}\n'
        raise ProtocolError("broken")

    with pytest.raises(TransientError, match="broken"):
        [*whole_rows(broken())]
