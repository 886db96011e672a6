"""A paid cart -> `event_properties` of CheckoutCreated, OrderCreated and PurchaseCompleted.

Invariants: the totals of one purchase agree. Its ids mostly do not, as in Tapcart's public examples:
OrderCreated names the checkout by a number, PurchaseCompleted by a hexadecimal token; either may name none.
Source: Tapcart's public documentation of the Mobile Event Webhook, one page per event type.
"""

from random import Random

from msgspec import Struct

from deploy.demo.properties import Line, Properties, money, subtotal
from deploy.demo.shoppers import Shopper

# Country -> city, province, province code, country, postal code.
_ADDRESSES = {
    "US": ("Portland", "Oregon", "OR", "United States", "97201"),
    "CA": ("Laval", "Quebec", "QC", "Canada", "H7A 0A1"),
    "GB": ("Leeds", "England", "ENG", "United Kingdom", "LS1 1AA"),
    "DE": ("Hamburg", None, None, "Germany", "20095"),
    "AU": ("Perth", "Western Australia", "WA", "Australia", "6000"),
    "AE": ("Dubai", "Dubai", "DU", "United Arab Emirates", None),
}


class Ids(Struct, frozen=True):
    """One checkout, by the id of each event."""

    checkout_created: str  # 32 hex digits
    order_created: str | None
    purchase_completed: str | None
    order_id: str | None


def invented_ids(rng: Random) -> Ids:
    """Return the ids of a new checkout."""
    number, token = str(rng.randrange(10**13, 10**14)), f"{rng.getrandbits(128):032x}"
    gid = "gid://shopify/Checkout/"
    forms = (number, f"{gid}{number}?key=1f", token, f"{gid}{token}", None)
    order_id = str(rng.randrange(10**12, 10**13))
    return Ids(
        checkout_created=token,
        order_created=rng.choices(forms, (74, 10, 10, 5, 1))[0],
        purchase_completed=rng.choices((token, token.upper(), number, None), (84, 5, 10, 1))[0],
        order_id=rng.choices((order_id, None), (98, 2))[0],
    )


class Checkout(Struct, frozen=True):
    """A checkout being paid."""

    ids: Ids
    cart_id: str
    kind: str  # webCheckout | applePay | ...
    cart: list[Line]
    discount_cents: int
    who: Shopper
    server_currency: str  # the shopper's currency as the shop's server writes it

    @property
    def due(self) -> str:
        """Return the amount to pay."""
        return money(subtotal(self.cart) - self.discount_cents)

    @property
    def titles(self) -> list[str]:
        """Return the products' titles."""
        return [line.product.title for line in self.cart]


def checkout_created(checkout: Checkout) -> Properties:
    """Return CheckoutCreated's fields."""
    return {
        "source": None,
        "event_id": None,
        "currency_code": checkout.who.currency,
        "checkout_type": checkout.kind,
        "checkout_id": checkout.ids.checkout_created,
        "checkout_amount": checkout.due,
        "checkout_source_type": "cart",
        "checkout_source_id": None,
        "checkout_source_title": None,
        "multi_currency_code": checkout.who.currency,
        "checkout_total_items": str(len(checkout.cart)),
        "checkout_subtotal": money(subtotal(checkout.cart)),
        "checkout_items_list": checkout.titles,
        "total_discount_amount": money(checkout.discount_cents),
        "total_gift_card_amount_applied": "0.0",
        "cart_id": checkout.cart_id,
    }


def order_created(checkout: Checkout) -> Properties:
    """Return OrderCreated's fields."""
    return {
        "order_id": checkout.ids.order_id,
        "checkout_id": checkout.ids.order_created,
        "currency_code": checkout.who.currency,
        "total_price": checkout.due,
        "event_id": None,
    }


def purchase_completed(checkout: Checkout) -> Properties:
    """Return PurchaseCompleted's fields."""
    city, province, province_code, country, postal_code = _ADDRESSES[checkout.who.country]
    badges = [line.product.badge for line in checkout.cart if line.product.badge]
    return {
        "source": None,
        "event_id": None,
        "checkout_id": checkout.ids.purchase_completed,
        "currency_code": checkout.server_currency,
        "total_price": checkout.due,
        "checkout_source_type": "cart",
        "checkout_source_id": None,
        "checkout_source_title": None,
        "multi_currency_code": checkout.who.currency,
        "purchase_total_price": checkout.due,
        "purchase_total_price_due": checkout.due,
        "purchase_total_items": str(len(checkout.cart)),
        "purchase_total_items_list": checkout.titles,
        "purchase_city": city,
        "purchase_province": province,
        "purchase_province_code": province_code,
        "purchase_country": country,
        "purchase_country_code": checkout.who.country,
        "purchase_zip": postal_code,
        "purchase_product_badge_titles_list": [badge[1] for badge in badges],
        "purchase_product_badge_ids_list": [badge[0] for badge in badges],
        "product_badge_source_list": ["plp" for _ in badges],
        "purchase_shopify_user_id": checkout.who.shopify_user_id,
        "total_discount_amount": money(checkout.discount_cents),
        "total_gift_card_amount_applied": "0.0",
        "cart_id": None,
        "product_ids": [line.product.product_id for line in checkout.cart],
    }
