"""The states of delivery and every transition between them. Pure.

Source: the table in DESIGN.md, "The way out of ingest", which a test compares with this module.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """Where a new record goes."""

    DIRECT = "direct"  # to Kafka; nothing is spooled
    SPOOLING = "spooling"  # to the spool; Kafka does not acknowledge
    CATCHING_UP = "catching_up"  # to the spool, behind records that are being drained to Kafka


class Event(StrEnum):
    """Event that can change the state."""

    FAILED = "failed"  # Kafka did not acknowledge a record in time
    ANSWERED = "answered"  # Kafka acknowledged the first spooled records, or responds and nothing is spooled
    CAUGHT_UP = "caught_up"  # Kafka acknowledged everything that was spooled


TRANSITIONS: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        (State.DIRECT, Event.FAILED): State.SPOOLING,
        (State.SPOOLING, Event.FAILED): State.SPOOLING,
        (State.SPOOLING, Event.ANSWERED): State.CATCHING_UP,
        (State.CATCHING_UP, Event.FAILED): State.SPOOLING,
        (State.CATCHING_UP, Event.ANSWERED): State.CATCHING_UP,
        (State.CATCHING_UP, Event.CAUGHT_UP): State.DIRECT,
    }
)


def after(state: State, event: Event) -> State:
    """Return the next state. Raises: KeyError for an impossible transition."""
    return TRANSITIONS[state, event]
