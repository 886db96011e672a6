"""The quarantine's form of a body that its table rejects -> found again by `make reconcile`."""

import pytest

from consumers.kit.decode import Refusal
from consumers.warehouse.load.flush import _remains, remains_of


@pytest.mark.parametrize("size", [0, 10, 65_536, 65_537, 1_000_000])
def test_whatever_is_kept_of_a_body_is_looked_for(size: int) -> None:
    """The whole, its beginning, or its digest."""
    body = b"x" * size
    refusal = Refusal(reason="refused", detail="", body=body, received_at_ms=0, record="t/0/0")

    kept = [body, *(left.body for left in _remains(refusal))]

    assert {*kept} <= {*remains_of(body)}
    assert len(kept) == (3 if size > 65_536 else 2)
