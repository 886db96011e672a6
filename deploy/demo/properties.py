"""An action in a session -> `event_properties` with every documented field of the type, in Tapcart's format.

Invariants: numbers are strings, as Tapcart sends them; `event_id` is filled in by the envelope. Source:
Tapcart's public documentation of the Mobile Event Webhook, one page per event type.
"""

from typing import Any

from msgspec import Struct

from deploy.demo.shoppers import Shopper
from deploy.demo.shops import Collection, Product, Push, Variant

Properties = dict[str, Any]

_NO_BLOCK: Properties = {"custom_block_id": None, "custom_block_source_url": None}
_BLOCK_URL = "https://custom-blocks.tapcart.com/demo/{}/index.html"


class Line(Struct):
    """One line of a cart."""

    product: Product
    variant: Variant
    cents: int  # per piece, in the shopper's currency
    quantity: int = 1


class SessionOrigin(Struct, frozen=True):
    """The origin of a session."""

    source: str  # direct | notification | deep_link
    push: Push | None = None
    automated: bool = False
    utm: tuple[str | None, ...] = (None, None, None, None, None)  # source, medium, campaign, content, term

    @property
    def notification(self) -> tuple[str | None, str | None]:
        """Return id and type of the push that opened the session."""
        if self.push is None:
            return None, None
        return self.push.notification_id, "automated" if self.automated else "dashboard"


def money(cents: int) -> str:
    """Format whole cents like Tapcart: `18.00`."""
    return f"{cents // 100}.{cents % 100:02d}"


def subtotal(cart: list[Line]) -> int:
    """Return the price of all lines in cents."""
    return sum(line.cents * line.quantity for line in cart)


def app_installed(origin: SessionOrigin) -> Properties:
    """Return AppInstalled's fields."""
    return {"event_id": None, "source": "organic" if origin.source == "direct" else "deep_link"}


def app_opened(origin: SessionOrigin) -> Properties:
    """Return AppOpened's fields."""
    notification_id, notification_type = origin.notification
    return {
        "source": origin.source,
        "event_id": None,
        "app_open_source": "push" if origin.push else origin.source,
        "notification_id": notification_id,
        "notification_type": notification_type,
        "segment_id": "abandoned_cart" if origin.automated else None,
    }


def session_started(origin: SessionOrigin, session_id: str, session_type: str, start_ms: int) -> Properties:
    """Return SessionStarted's fields."""
    notification_id, notification_type = origin.notification
    return {
        "source": origin.source,
        "event_id": None,
        "session_id": session_id,
        "session_source": origin.source,
        "session_type": session_type,
        "session_start_time": start_ms,
        "notification_id": notification_id,
        "notification_type": notification_type,
        "segment_id": "abandoned_cart" if origin.automated else None,
    }


def push_received(push: Push, *, automated: bool) -> Properties:
    """Return PushNotificationReceived's fields."""
    return {
        "event_id": None,
        "notification_id": push.notification_id,
        "notification_title": push.title,
        "notification_message": push.message,
        "notification_image": None,
        "target": "abandoned_cart" if automated else None,
        "notification_type": "automated" if automated else "dashboard",
    }


def push_disabled() -> Properties:
    """Return PushNotificationDisabled's fields."""
    return {"disable_source": "initial_opt_out", "event_id": None}


def block(block_id: str | None) -> Properties:
    """Return the two fields that name a custom block."""
    if block_id is None:
        return _NO_BLOCK
    return {"custom_block_id": block_id, "custom_block_source_url": _BLOCK_URL.format(block_id)}


def custom_block(block_id: str, index: int, interaction: str) -> Properties:
    """Return CustomBlockInteracted's fields."""
    return {
        "event_id": None,
        **block(block_id),
        "custom_block_index": str(index),
        "custom_block_interaction_type": interaction,
        "custom_block_location": "home",
        "static_position": None,
    }


def collection_viewed(
    origin: SessionOrigin, collection: Collection, where: str, block_id: str | None
) -> Properties:
    """Return CollectionViewed's fields."""
    return {
        "source": origin.source,
        "event_id": None,
        "collection_id": collection.collection_id,
        "collection_title": collection.title,
        "collection_view_source": where,
        **block(block_id),
    }


def product_viewed(
    origin: SessionOrigin, who: Shopper, product: Product, collection: Collection | None, where: str
) -> Properties:
    """Return ProductViewed's fields."""
    return {
        "source": origin.source,
        "event_id": None,
        "collection_id": collection.collection_id if collection else "",
        "product_id": product.product_id,
        "product_title": product.title,
        "product_type": product.product_type,
        "product_price": money(round(product.cents * who.rate)),
        "product_view_source": where,
        "collection_title": collection.title if collection else None,
        "multi_currency_code": who.currency,
        "product_tags_list": product.tags,
        "product_badge_titles_list": [product.badge[1]] if product.badge else [],
        "product_badge_ids_list": [product.badge[0]] if product.badge else [],
        "product_badge_positioning_list": [],
        **_NO_BLOCK,
    }


def added_to_cart(who: Shopper, line: Line, collection: Collection | None, cart: list[Line]) -> Properties:
    """Return AddedToCart's fields; `cart` already has the line."""
    return {
        "source": None,
        **_line(line, collection),
        "event_id": None,
        "cart_add_source": "pdp_direct_add",
        "cart_add_type": "product_add",
        "multi_currency_code": who.currency,
        **_cart_totals(cart),
        **_badges(line.product),
        **_NO_BLOCK,
    }


def cart_updated(
    who: Shopper, line: Line, collection: Collection | None, cart: list[Line], how: tuple[str, str]
) -> Properties:
    """Return CartUpdated's fields; `cart` is the new cart, `how` is update_type and cart_update_source."""
    return {
        "event_id": None,
        "quantity_updated": "1",
        "variant_options_updated": line.variant.options,
        **_line(line, collection),
        "cart_id": None,
        "multi_currency_code": who.currency,
        "product_tags_list": line.product.tags,
        **_cart_totals(cart),
        "cart_total_product_id_list": [one.product.product_id for one in cart],
        **_badges(line.product),
        "update_type": how[0],
        "cart_update_source": how[1],
    }


def cart_viewed(who: Shopper, cart: list[Line], cart_id: str) -> Properties:
    """Return CartViewed's fields."""
    return {
        "event_id": None,
        "cart_view_source": "icon",
        "cart_view_source_id": None,
        "cart_view_source_title": None,
        "multi_currency_code": who.currency,
        "cart_total_items": str(len(cart)),
        "cart_total_items_list": [line.product.title for line in cart],
        "cart_total_product_id_list": [line.product.product_id for line in cart],
        "total_discount_amount": "0.0",
        "cart_subtotal": money(subtotal(cart)),
        "cart_total": money(subtotal(cart)),
        "cart_discounted_items_list": [],
        "cart_id": cart_id,
    }


def _line(line: Line, collection: Collection | None) -> Properties:
    return {
        "product_id": line.product.product_id,
        "product_title": line.product.title,
        "product_type": line.product.product_type,
        "variant_id": line.variant.variant_id,
        "variant_name": line.variant.name,
        "variant_price": money(line.cents),
        "collection_id": collection.collection_id if collection else None,
        "collection_title": collection.title if collection else None,
    }


def _cart_totals(cart: list[Line]) -> Properties:
    return {
        "cart_total_price": money(subtotal(cart)),
        "cart_total_items": str(len(cart)),
        "cart_total_items_list": [line.product.title for line in cart],
    }


def _badges(product: Product) -> Properties:
    return {
        "product_badge_titles_list": [product.badge[1] if product.badge else ""],
        "product_badge_ids_list": [product.badge[0] if product.badge else ""],
        "product_badge_positioning_list": [],
    }
