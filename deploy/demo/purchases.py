"""A cart that is paid for -> `event_properties` of CheckoutCreated, OrderCreated and PurchaseCompleted.

Invariants: one checkout_id joins the three, and their totals agree; Tapcart's public examples show neither,
so analytics over invented data can be checked where examples cannot.
Source: Tapcart's public documentation of the Mobile Event Webhook, one page per event type.
"""

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


class Checkout(Struct, frozen=True):
    """What is being paid."""

    checkout_id: str  # 32 hex digits
    order_id: str
    cart_id: str
    kind: str  # webCheckout | applePay | ...
    cart: list[Line]
    discount_cents: int
    who: Shopper

    @property
    def due(self) -> str:
        """Return what is to be paid."""
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
        "checkout_id": checkout.checkout_id,
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
        "order_id": checkout.order_id,
        "checkout_id": checkout.checkout_id,
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
        "checkout_id": checkout.checkout_id,
        "currency_code": checkout.who.currency,
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
