"""The states of delivery and every transition between them. Pure.

Source: the table in docs/decisions/0004-delivery-states.md, which a test compares with this module.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class DeliveryState(StrEnum):
    """The destination of a new record."""

    DIRECT = "direct"  # to Kafka; nothing is spooled
    SPOOLING = "spooling"  # to the spool; Kafka does not acknowledge
    CATCHING_UP = "catching_up"  # to the spool, behind records that are being drained to Kafka


class DeliveryEvent(StrEnum):
    """Event that can change the state."""

    FAILED = "failed"  # Kafka did not acknowledge a record in time
    ANSWERED = "answered"  # Kafka acknowledged the first spooled records, or responds and nothing is spooled
    CAUGHT_UP = "caught_up"  # Kafka acknowledged everything that was spooled


TRANSITIONS: Mapping[tuple[DeliveryState, DeliveryEvent], DeliveryState] = MappingProxyType(
    {
        (DeliveryState.DIRECT, DeliveryEvent.FAILED): DeliveryState.SPOOLING,
        (DeliveryState.SPOOLING, DeliveryEvent.FAILED): DeliveryState.SPOOLING,
        (DeliveryState.SPOOLING, DeliveryEvent.ANSWERED): DeliveryState.CATCHING_UP,
        (DeliveryState.CATCHING_UP, DeliveryEvent.FAILED): DeliveryState.SPOOLING,
        (DeliveryState.CATCHING_UP, DeliveryEvent.ANSWERED): DeliveryState.CATCHING_UP,
        (DeliveryState.CATCHING_UP, DeliveryEvent.CAUGHT_UP): DeliveryState.DIRECT,
    }
)


def after(state: DeliveryState, event: DeliveryEvent) -> DeliveryState:
    """Return the next state. Raises: KeyError for an impossible transition."""
    return TRANSITIONS[state, event]
