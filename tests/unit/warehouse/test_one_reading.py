"""The loader and reconcile read a record alike, on whatever way it goes through the loader."""

from random import Random

import pytest

from consumers.kit.decode import Refusal
from consumers.warehouse.load.batch import Batch, BatchLimits
from consumers.warehouse.load.flush import _is_newer, _once_more
from consumers.warehouse.load.schema_bindings import SchemaBindings
from runtime.kafka import topics
from tests.fuzz.case import Place
from tests.fuzz.generators import records
from tests.support.warehouse import CATALOG, Message

_BINDINGS = SchemaBindings(CATALOG)


def of_seed(seed: int) -> Message:
    """Return a foreign producer's record."""
    case = records.make(Random(seed), Place("", ""))
    assert case.record
    _, value, headers = case.record
    return Message(value, headers_=headers)


@pytest.mark.parametrize("seed", range(2))
def test_a_record_has_one_reading(seed: int) -> None:
    """Unchecked with a right checksum, checked, and checked once more after it was refused.

    Twice the fuzzer found records that the loader had loaded and reconcile looked for in the quarantine.
    """
    refused = newer = 0
    for number in range(1000):
        record = of_seed(1_000_000 * seed + number)
        batch = Batch(BatchLimits(1000, 1 << 30, 0.0), _BINDINGS)
        batch.add([record], 0.0, {})
        checked = _BINDINGS.check(topics.EVENTS, record)
        if batch.checked == 0:  # ClickHouse decodes it; if in vain, it is refused as it is
            (group,) = batch.groups
            assert isinstance(checked, Refusal) or checked[0].prefix == group.form.prefix
            continue
        assert [*batch.refusals] == [checked][: isinstance(checked, Refusal)]
        for refusal in batch.refusals:
            refused += 1
            if not _is_newer(refusal, CATALOG):
                continue
            newer += 1
            assert isinstance(_BINDINGS.check(topics.EVENTS, _once_more(refusal)), Refusal), record

    assert refused > 100
    assert newer > 5
