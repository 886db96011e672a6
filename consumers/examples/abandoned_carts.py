"""A cart without an order for some minutes -> one HTTP call-out.

`python -m consumers.examples.abandoned_carts URL [MINUTES]`; in production also: pip install httpx.

A cart's last update is held until the cart is ordered, updated again, emptied or called out. So after a
restart, every pending cart and all events behind it are read again. A call-out may be repeated, with the same
Idempotency-Key. Minutes count from receipt, and only once all events received until then are read: an order
that waits in Kafka or in ingest's spool counts.

The device's clock decides which of two events is the later one: late and repeated events change nothing.
"""

from dataclasses import dataclass
from typing import Any

import httpx

from consumers.kit import Hold, events, run
from runtime.retry import retrying

_REMEMBERED_MS = 86_400_000  # events may be this late

Key = tuple[str, str]  # app, device: each device has one cart


@dataclass
class Pending:
    """A cart that is not empty, with its last update."""

    update: Any
    hold: Hold


@dataclass
class Settled:
    """When a cart was ordered, emptied or called out: by the device's clock, and when it was received."""

    timestamp_ms: int
    received_at_ms: int


class Carts:
    """The carts of all devices."""

    def __init__(self) -> None:
        self._pending: dict[Key, Pending] = {}
        self._settled: dict[Key, Settled] = {}

    def update(self, key: Key, event: Any, hold: Hold) -> None:
        """Remember a cart that is not empty."""
        if self._is_news(key, event):
            self._forget(key)
            self._pending[key] = Pending(event, hold)
        else:
            hold.release()

    def settle(self, key: Key, event: Any) -> None:
        """Remember that a cart was ordered or emptied."""
        if self._is_news(key, event):
            self._forget(key)
            self._settled[key] = Settled(event.timestamp, event.received_at)

    def call_out_abandoned(self, url: str, received_before_ms: float, now_ms: int) -> None:
        """Call out the carts without an event since `received_before_ms`."""
        for key, cart in [*self._pending.items()]:
            if not cart.hold.is_ours:  # another process has its partition now
                del self._pending[key]
            elif cart.update.received_at <= received_before_ms:
                call_out(url, cart.update)
                self._forget(key)
                self._settled[key] = Settled(cart.update.timestamp, now_ms)
        for key, settled in [*self._settled.items()]:
            if settled.received_at_ms <= now_ms - _REMEMBERED_MS:
                del self._settled[key]

    def _is_news(self, key: Key, event: Any) -> bool:
        """Whether the event is newer than all that is known of the device's cart."""
        settled, pending = self._settled.get(key), self._pending.get(key)
        if settled and event.timestamp <= settled.timestamp_ms:
            return False
        return pending is None or event.timestamp >= pending.update.timestamp

    def _forget(self, key: Key) -> None:
        if pending := self._pending.pop(key, None):
            pending.hold.release()


def call_out(url: str, update: Any) -> None:
    """Send a cart; retry while the receiver answers with an error.

    After four minutes the process ends: the cart is still held, and the next start retries.
    """
    items = update.event_properties.cart_total_items_list
    cart = {"app_id": update.app_id, "device_id": update.device_id, "items": items}
    cart["updated_at_ms"] = update.timestamp

    def post() -> None:
        headers = {"Idempotency-Key": update.event_id}
        httpx.post(url, json=cart, headers=headers, timeout=10).raise_for_status()

    retrying((httpx.TransportError, httpx.HTTPStatusError), 10, seconds_max=240)(post)


def main(url: str, minutes: float = 30, *, group: str = "abandoned-carts") -> None:
    """Call out until stopped."""
    # These classes are generated from the schemas. They are imported here so that `run` reports invalid
    # schemas.
    from consumers.kit.types import CartUpdated, OrderCreated  # noqa: PLC0415

    carts = Carts()
    stream = events(group, types=[CartUpdated, OrderCreated])
    for event in stream.ticking(1.0):
        if event is None:  # a tick
            now_ms = stream.read_until_ms
            carts.call_out_abandoned(url, now_ms - minutes * 60_000, now_ms)
        elif event.device_id:
            key = event.app_id, event.device_id
            if isinstance(event, CartUpdated) and event.event_properties.cart_total_items_list:
                carts.update(key, event, stream.hold())
            else:
                carts.settle(key, event)


if __name__ == "__main__":
    run(main)
