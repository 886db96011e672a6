"""A cart without an order for some minutes -> one HTTP call.

`python -m consumers.examples.abandoned_carts URL [MINUTES]`; in production also: pip install httpx tenacity.
An update is held until its cart is settled: ordered, updated again, emptied or reported. A restart therefore
reads every pending cart again, and the events after it; a call may be repeated, with the same
Idempotency-Key. Minutes count from receipt, and only up to the moment until which all events were read, so an
order still in Kafka or in ingest's spool counts. The device's clock orders its events: late and repeated ones
change nothing.
"""

import sys
from typing import Any

import httpx
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random_exponential

from consumers.kit import Hold, events, run

_REMEMBERED_MS = 86_400_000  # how late an event may arrive


# After four minutes the process exits. The cart is still held, so the next start retries.
@retry(
    retry=retry_if_exception_type((httpx.TransportError, httpx.HTTPStatusError)),
    wait=wait_random_exponential(0.1, 10),
    stop=stop_after_delay(240),
    reraise=True,
)
def call_out(url: str, event: Any) -> None:
    """Report a cart; retry if the receiver fails."""
    cart = {"app_id": event.app_id, "device_id": event.device_id, "updated_at_ms": event.timestamp}
    cart["items"] = event.event_properties.cart_total_items_list
    httpx.post(url, json=cart, headers={"Idempotency-Key": event.event_id}, timeout=10).raise_for_status()


def main(url: str, minutes: float = 30, *, group: str = "abandoned-carts") -> None:
    """Report abandoned carts until stopped."""
    # These classes are built from the schemas; importing them here lets `run` report schema errors.
    from consumers.kit.types import CartUpdated, OrderCreated  # noqa: PLC0415

    pending: dict[tuple[str, str], tuple[Any, Hold]] = {}  # the cart's last update
    # Key -> device time up to which the cart is settled, and its receive time.
    settled: dict[tuple[str, str], tuple[int, int]] = {}
    stream = events(group, types=[CartUpdated, OrderCreated])
    for event in stream.ticking(1.0):
        if event is not None:
            if not event.device_id:  # a cart belongs to a device
                continue
            key = event.app_id, event.device_id
            known = pending.get(key)
            if event.timestamp <= max(settled.get(key, (-1,))[0], known[0].timestamp - 1 if known else -1):
                continue
            if known:
                known[1].release()
                del pending[key]
            if isinstance(event, OrderCreated) or not event.event_properties.cart_total_items_list:
                settled[key] = event.timestamp, event.received_at
            else:
                pending[key] = event, stream.hold()
            continue
        now_ms = stream.read_until_ms
        for key, (cart, hold) in [*pending.items()]:
            if not hold.is_ours:
                del pending[key]
            elif cart.received_at + minutes * 60_000 <= now_ms:
                call_out(url, cart)
                hold.release()
                settled[key] = cart.timestamp, now_ms
                del pending[key]
        settled = {key: at for key, at in settled.items() if at[1] > now_ms - _REMEMBERED_MS}


if __name__ == "__main__":
    run(main, sys.argv[1], *map(float, sys.argv[2:3]))
