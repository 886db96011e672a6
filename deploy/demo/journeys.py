"""A visit -> the app's reports in order: (true time, event type, event_properties).

Invariants: a first launch is AppInstalled + AppOpened + SessionStarted; an add is AddedToCart + CartUpdated;
a purchase is CheckoutCreated, then OrderCreated + PurchaseCompleted; a tapped push is
PushNotificationReceived + AppOpened. Source: the firing rules in Tapcart's public documentation of the Mobile
Event Webhook.
"""

from random import Random
from uuid import UUID

from msgspec import Struct

from deploy.demo import properties, purchases
from deploy.demo.properties import Line, Properties, SessionOrigin
from deploy.demo.shoppers import Visit
from deploy.demo.shops import Collection, Product, Shop, chance, opaque_id

_ORIGINS = (
    SessionOrigin("direct"),
    SessionOrigin("deep_link", utm=("instagram", "paid_social", "fall_drop", "story_2", None)),
    SessionOrigin("deep_link", utm=("newsletter", "email", "weekly", None, None)),
    SessionOrigin("deep_link", utm=("google", "cpc", "brand", None, "gift ideas")),
    SessionOrigin("deep_link", utm=("tiktok", "paid_social", "creator_mia", "clip_1", None)),
)
_ORIGIN_WEIGHTS = (62, 14, 10, 8, 6)
_COLLECTION_SOURCES = ("left_menu", "collections_list", "dashboard_featured_products", "deep_link")
_CHECKOUT_KINDS = ("webCheckout", "applePay", "shopPay")
_LOOKS_MAX = 9
_CHECKOUTS_MAX = 4


class Happening(Struct, frozen=True, gc=False):
    """One event before it has an envelope."""

    at_ms: int  # true time
    event_type: str
    properties: Properties


class Journey:
    """One session; `events` may be called once."""

    def __init__(self, rng: Random, shop: Shop, visit: Visit) -> None:
        self.shop = shop
        self.shopper = visit.shopper
        self.session_id = str(UUID(int=rng.getrandbits(128), version=4)).upper()
        self.start_ms = visit.start_ms
        self.session_type = "New" if visit.first else "Returning"
        self.origin = _origin(rng, shop, visit)
        self._first = visit.first
        self._rng = rng
        self._now_ms = visit.start_ms
        self._cart: list[Line] = []
        self._happened: list[Happening] = []

    def events(self) -> list[Happening]:
        """Return all events of the session, in order of time."""
        self._open()
        for _ in range(self._rng.randint(1, _LOOKS_MAX)):
            self._look_around()
        if self._cart:
            self._check_cart()
            if chance(self._rng, 0.25 + 0.5 * self.shopper.eagerness):
                self._check_out()
        return self._happened

    def _report(self, event_type: str, fields: Properties, after_seconds: float = 0.0) -> None:
        self._now_ms += round(after_seconds * 1000)
        self._happened.append(Happening(self._now_ms, event_type, fields))

    def _pause(self, mean_seconds: float) -> float:
        return min(
            self._rng.expovariate(1 / mean_seconds), 1500.0
        )  # a session ends after 30 minutes of nothing

    def _open(self) -> None:
        if self._first:
            self._report("AppInstalled", properties.app_installed(self.origin))
        push = self.origin.push
        if push:
            self._report(
                "PushNotificationReceived", properties.push_received(push, automated=self.origin.automated)
            )
        if self._first or push or chance(self._rng, 0.8):
            self._report("AppOpened", properties.app_opened(self.origin), 0.02)
        started = properties.session_started(self.origin, self.session_id, self.session_type, self.start_ms)
        self._report("SessionStarted", started, 0.03)
        if self._first and not self.shopper.push_enabled:
            self._report("PushNotificationDisabled", properties.push_disabled(), self._pause(4))

    def _look_around(self) -> None:
        collection = self._rng.choice(self.shop.collections)
        kind = self._rng.choices(("push", "collection", "product"), (8, 42, 50))[0]
        if kind == "push" and self.shopper.push_enabled:
            push = self._rng.choice(self.shop.pushes)
            self._report(
                "PushNotificationReceived", properties.push_received(push, automated=False), self._pause(20)
            )
        elif kind == "collection":
            self._view_collection(collection)
            self._view_product(self._rng.choice(collection.products), collection)
        else:
            self._view_product(self._rng.choice(collection.products), None)

    def _view_collection(self, collection: Collection) -> None:
        block_id = None
        where = self._rng.choice(_COLLECTION_SOURCES)
        if chance(self._rng, 0.15):
            block_id = opaque_id(self._rng)
            fields = properties.custom_block(block_id, self._rng.randint(1, 5), "collection_viewed")
            self._report("CustomBlockInteracted", fields, self._pause(15))
        fields = properties.collection_viewed(self.origin, collection, where, block_id)
        self._report("CollectionViewed", fields, 0.2 if block_id else self._pause(15))

    def _view_product(self, product: Product, collection: Collection | None) -> None:
        where = "collections_page" if collection else "dashboard_recently_viewed_block"
        fields = properties.product_viewed(self.origin, self.shopper, product, collection, where)
        self._report("ProductViewed", fields, self._pause(18))
        if chance(self._rng, 0.04 + 0.2 * self.shopper.eagerness):
            self._add(product, collection)

    def _add(self, product: Product, collection: Collection | None) -> None:
        variant = self._rng.choice(product.variants)
        line = Line(product, variant, round(product.cents * self.shopper.rate))
        known = next((one for one in self._cart if one.variant is variant), None)
        if known:
            known.quantity += 1
        else:
            self._cart.append(line)
        added = properties.added_to_cart(self.shopper, line, collection, self._cart)
        self._report("AddedToCart", added, self._pause(12))
        self._update(line, collection, ("pdp_direct_add", "pdp_direct_add"), 0.05)

    def _update(
        self, line: Line, collection: Collection | None, how: tuple[str, str], after_seconds: float
    ) -> None:
        updated = properties.cart_updated(self.shopper, line, collection, self._cart, how)
        self._report("CartUpdated", updated, after_seconds)

    def _check_cart(self) -> None:
        self._cart_id = str(self._rng.randrange(10**12, 10**13))
        self._report(
            "CartViewed", properties.cart_viewed(self.shopper, self._cart, self._cart_id), self._pause(10)
        )
        kind = self._rng.choices(("more", "less", "same"), (15, 10, 75))[0]
        if kind == "more":
            line = self._rng.choice(self._cart)
            line.quantity += 1
            self._update(line, None, ("quantity_added", "cart_increase_quantity"), self._pause(8))
        elif kind == "less" and len(self._cart) > 1:
            line = self._cart.pop(self._rng.randrange(len(self._cart)))
            self._update(line, None, ("delete", "delete"), self._pause(8))

    def _check_out(self) -> None:
        """Pay or leave; some pay again at once."""
        for _ in range(_CHECKOUTS_MAX):
            self._pay()
            if not chance(self._rng, 0.12):
                break

    def _pay(self) -> None:
        currency = self.shopper.currency
        checkout = purchases.Checkout(
            ids=purchases.invented_ids(self._rng),
            cart_id=self._cart_id,
            kind=self._rng.choice(_CHECKOUT_KINDS if self.shopper.ios else _CHECKOUT_KINDS[::2]),
            cart=self._cart,
            discount_cents=properties.subtotal(self._cart) // 10 if chance(self._rng, 0.2) else 0,
            who=self.shopper,
            server_currency=self._rng.choices((currency, currency.lower(), f" {currency} "), (90, 7, 3))[0],
        )
        self._report("CheckoutCreated", purchases.checkout_created(checkout), self._pause(12))
        if chance(self._rng, 0.7):
            self._report("OrderCreated", purchases.order_created(checkout), self._pause(70))
            self._report("PurchaseCompleted", purchases.purchase_completed(checkout), 1 + self._pause(4))


def _origin(rng: Random, shop: Shop, visit: Visit) -> SessionOrigin:
    if not visit.first and visit.shopper.push_enabled and chance(rng, 0.3):
        automated = chance(rng, 0.3)
        return SessionOrigin("notification", push=rng.choice(shop.pushes), automated=automated)
    return rng.choices(_ORIGINS, _ORIGIN_WEIGHTS)[0]
