"""A journey -> JSON bodies as Tapcart posts them: envelope, blocks, ids, and the phone's time.

Invariants: PurchaseCompleted comes from the shop's own server: it has none of the four blocks, the true time,
and not always session and device ids. All other events of a session share the same blocks, encoded once.
Source: Tapcart's public documentation of the Mobile Event Webhook.
"""

from datetime import UTC, datetime, timedelta, timezone
from random import Random
from typing import Any
from uuid import UUID

from msgspec import Raw, json

from deploy.demo.journeys import Happening, Journey
from deploy.demo.shoppers import Shopper
from deploy.demo.shops import Shop

_LIB_VERSION = "4.3.0"

Event = dict[str, Any]


class Envelopes:
    """Wraps the events of one session into envelopes."""

    def __init__(self, journey: Journey) -> None:
        who, shop = journey.shopper, journey.shop
        self._journey = journey
        self._skew_ms = who.skew_ms
        self._zone = timezone(timedelta(minutes=who.utc_offset_minutes))
        self._ids: Event = {"session_id": journey.session_id, "device_id": who.device_id}
        self._blocks = {
            "device_properties": _raw(_device(who, journey.session_type)),
            "shopify_properties": _raw(
                {"shopify_user_id": who.shopify_user_id, "logged_in": who.shopify_user_id is not None}
            ),
            "session_properties": _raw(_session(journey)),
            "app_properties": _raw(_app(shop, who)),
        }

    def event(self, rng: Random, happening: Happening) -> Event:
        """Build the event, ready for JSON."""
        of_server = happening.event_type == "PurchaseCompleted"
        at_ms = happening.at_ms + (0 if of_server else self._skew_ms)
        event_id = str(UUID(int=rng.getrandbits(128), version=4))
        fields = happening.properties
        fields["event_id"] = event_id
        return {
            "event_type": happening.event_type,
            "metadata": {"schema_id": f"Event_{happening.event_type}_5_0_0"},
            **({} if of_server else self._blocks),
            "event_properties": fields,
            "event_id": event_id,
            **(self._known_to_server(rng) if of_server else self._ids),
            "app_id": self._journey.shop.app_id,
            "timestamp": at_ms,
            "timestamp_iso": iso(at_ms, self._zone),
        }

    def _known_to_server(self, rng: Random) -> Event:
        """Return both ids, one of them, or neither: null, empty or left out."""
        device, session = {"device_id": self._ids["device_id"]}, {"session_id": self._ids["session_id"]}
        nothing: Event = {"session_id": None, "device_id": None}
        empty: Event = {"session_id": "", "device_id": ""}
        choices: tuple[Event, ...] = (self._ids, device, nothing | session, nothing, empty, {})
        return rng.choices(choices, (79, 8, 8, 2, 1, 2))[0]


def iso(at_ms: int, zone: timezone) -> str:
    """Format the time like Tapcart: milliseconds and a numeric offset, never Z."""
    seconds, milliseconds = divmod(at_ms, 1000)
    local = datetime.fromtimestamp(seconds, UTC).astimezone(zone)
    return local.replace(microsecond=milliseconds * 1000).isoformat(timespec="milliseconds")


def _raw(block: Event) -> Raw:
    return Raw(json.encode(block))


def _device(who: Shopper, session_type: str) -> Event:
    wifi = hash_bit(who.ip)
    return {
        "ip": who.ip,
        "os": "iOS" if who.ios else "Android",
        "model": who.model,
        "orientation": "portrait",
        "carrier": "" if wifi else "T-Mobile",
        "radio": "Wifi" if wifi else "LTE",
        "manufacturer": who.manufacturer,
        "lib_version": _LIB_VERSION,
        "country": who.country,
        "locale": who.locale,
        "wifi": wifi,
        "app_version": None,
        "tapcart_build": None,
        "external_build": None,
        "os_version": who.os_version,
        "tapcart_commit_hash": None,
        "consumer_type": session_type,
        "device_id": who.device_id,
        "prev_push_enabled": who.push_enabled,
        "push_enabled": who.push_enabled,
    }


def hash_bit(text: str) -> bool:
    """Return a stable bit for a text; Python's own hash differs between processes."""
    return sum(text.encode()) % 2 == 0


def _session(journey: Journey) -> Event:
    notification_id, notification_type = journey.origin.notification
    source, medium, campaign, content, term = journey.origin.utm
    return {
        "session_id": journey.session_id,
        "source": journey.origin.source,
        "session_type": journey.session_type,
        "session_start_time": journey.start_ms + journey.shopper.skew_ms,
        "notification_id": notification_id,
        "notification_type": notification_type,
        "utm_source": source,
        "utm_medium": medium,
        "utm_campaign": campaign,
        "utm_content": content,
        "utm_term": term,
    }


def _app(shop: Shop, who: Shopper) -> Event:
    return {
        "app_id": shop.app_id,
        "currency_code": shop.currency,
        "app_version": shop.version,
        "tapcart_build": shop.build,
        "external_build": shop.build,
        "os_version": who.os_version,
        "tapcart_commit_hash": None,
        "environment": "debug" if who.debug else "release",
    }
