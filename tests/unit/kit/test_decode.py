"""Keys and headers of others' records become texts that fit an id."""

import pytest

from consumers.kit.decode import text
from schemas.catalog.schema_model import ID_BYTES_MAX


@pytest.mark.parametrize(
    "given", [b"\xff" * 2000, b"a" * 2000, b"a" * 1023 + "é".encode(), "é".encode() * 600]
)
def test_a_key_fits_an_id(given: bytes) -> None:
    """Else the quarantine's own record would be invalid: a byte that is not UTF-8 grows to three."""
    found = text(given)

    assert found
    assert len(found.encode()) <= ID_BYTES_MAX


def test_a_short_key_stays_as_it_is() -> None:
    """An empty one is none."""
    assert [text(given) for given in (b"app", "é".encode(), b"", None)] == ["app", "é", None, None]
