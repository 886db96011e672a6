"""The states of delivery: the docs' table matches the module, and every state can be left."""

import re

import pytest

from ingest.delivery.state import TRANSITIONS, DeliveryEvent, DeliveryState, after
from ingest.metrics import Metrics
from tests.support.stack import ROOT


def test_the_table_in_the_docs_has_every_transition() -> None:
    """Row by state, column by event."""
    section = (ROOT / "docs/decisions/0004-delivery-states.md").read_text().partition("\n## ")[0]
    head, _, *rows = [line for line in section.splitlines() if line.startswith("|")]
    events = [DeliveryEvent(name) for name in re.findall(r"`(\w+)`", head)]
    table: dict[tuple[DeliveryState, DeliveryEvent], DeliveryState] = {}
    for row in rows:
        state, *cells = (re.findall(r"`(\w+)`", cell) for cell in row.strip("|").split("|"))
        table |= {
            (DeliveryState(state[0]), event): DeliveryState(cell[0])
            for event, cell in zip(events, cells, strict=True)
            if cell
        }

    assert set(events) == set(DeliveryEvent)
    assert table == TRANSITIONS


def test_every_state_leads_to_direct_and_to_the_spool() -> None:
    """Each state can fail, and each returns in at most two steps."""
    for state in DeliveryState:
        assert after(state, DeliveryEvent.FAILED) is DeliveryState.SPOOLING
    assert (
        after(after(DeliveryState.SPOOLING, DeliveryEvent.ANSWERED), DeliveryEvent.CAUGHT_UP)
        is DeliveryState.DIRECT
    )


def test_what_cannot_happen_is_a_fault() -> None:
    """Delivery must catch up before it is direct."""
    with pytest.raises(KeyError):
        after(DeliveryState.SPOOLING, DeliveryEvent.CAUGHT_UP)


def test_the_metric_is_one_for_one_state() -> None:
    """`kafka_direct` matches it."""
    metrics = Metrics()
    for state in DeliveryState:
        metrics.delivery_state(state)
        read = {
            s: metrics.registry.get_sample_value("tapline_ingest_delivery_state", {"state": s})
            for s in DeliveryState
        }

        assert [s for s, value in read.items() if value] == [state]
        direct = metrics.registry.get_sample_value("tapline_ingest_kafka_direct")
        assert direct == (state is DeliveryState.DIRECT)
