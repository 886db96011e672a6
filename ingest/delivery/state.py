"""Where a record goes: three states, and every transition between them. Pure.

Source: the table in DESIGN.md, "The way out of ingest", which a test compares with this module.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class State(StrEnum):
    """The way of a record that arrives now."""

    DIRECT = "direct"  # to Kafka; nothing is spooled
    SPOOLING = "spooling"  # to the spool; Kafka does not acknowledge
    CATCHING_UP = "catching_up"  # behind what is spooled, which goes to Kafka


class Event(StrEnum):
    """What ends a state."""

    FAILED = "failed"  # Kafka has not acknowledged a record within the bound
    ANSWERED = "answered"  # Kafka has acknowledged what was spooled first, or answers and nothing is spooled
    CAUGHT_UP = "caught_up"  # Kafka has acknowledged everything that was spooled


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
    """Return the state that follows. Raises: KeyError for what cannot happen."""
    return TRANSITIONS[state, event]
