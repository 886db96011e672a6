"""Seed and number -> a merchant's app with its catalogue, campaigns and customers' currencies; all invented.

Invariants: every app id begins with `demo-`, so invented events are never mistaken for a merchant's. Prices
are whole cents of the shop's currency. The same seed and number give the same shop.
"""

from random import Random

from msgspec import Struct

PREFIX = "demo-"

_NAMES = ("alder", "birch", "cedar", "dune", "elm", "fern", "grove", "hazel", "iris", "juniper")
_LINES = (
    (
        ("Trail", "Ridge", "Summit", "Harbor"),
        ("Daypack", "Shell Jacket", "Crew Sock", "Fleece", "Cap", "Flask"),
    ),
    (
        ("Calm", "Dew", "Amber", "Citrus"),
        ("Serum", "Cleanser", "Night Cream", "Lip Balm", "Toner", "Face Mask"),
    ),
    (("Oak", "Linen", "Stone", "Wool"), ("Table Lamp", "Cushion", "Throw", "Vase", "Wall Clock", "Mug")),
    (
        ("Pebble", "Comet", "Maple", "Luna"),
        ("Onesie", "Rain Boots", "Puzzle", "Blanket", "Night Light", "Bib"),
    ),
)
_COLLECTIONS = ("New In", "Bestsellers", "Gifts", "Last Chance", "Under 50", "Staff Picks")
_COLORS = ("Slate", "Sand", "Moss", "Ink")
_SIZES = ("S", "M", "L", "One Size")
_CURRENCIES = ("USD", "EUR", "GBP", "USD")
_PUSHES = (
    ("Back in your size", "It just landed again"),
    ("Two days only", "20% off everything you saved"),
    ("New in", "Be the first to see the drop"),
    ("Free shipping", "Until midnight, no minimum"),
)
_PRODUCTS_PER_SHOP = 24


class Variant(Struct, frozen=True, gc=False):
    """One size and colour of a product."""

    variant_id: str
    name: str
    options: str  # JSON text, as Tapcart sends it


class Product(Struct, frozen=True):
    """One product."""

    product_id: str
    title: str
    product_type: str
    cents: int
    tags: tuple[str, ...]
    badge: tuple[str, str] | None  # id, title
    variants: tuple[Variant, ...]


class Collection(Struct, frozen=True):
    """A named selection of products."""

    collection_id: str
    title: str
    products: tuple[Product, ...]


class Push(Struct, frozen=True):
    """One push campaign."""

    notification_id: str
    title: str
    message: str


class Shop(Struct, frozen=True):
    """One merchant's app."""

    app_id: str
    currency: str
    version: str
    build: str
    collections: tuple[Collection, ...]
    pushes: tuple[Push, ...]


def app_id(number: int) -> str:
    """Return the app id of the shop `number` (from 0)."""
    turn, index = divmod(number, len(_NAMES))
    return f"{PREFIX}{_NAMES[index]}" + (f"-{turn + 1}" if turn else "")


def shop(seed: int, number: int) -> Shop:
    """Return the shop `number` (from 0)."""
    rng = Random(f"{seed}/shop/{number}")  # noqa: S311 - invented data
    products = [_product(rng, _LINES[number % len(_LINES)], index) for index in range(_PRODUCTS_PER_SHOP)]
    return Shop(
        app_id=app_id(number),
        currency=_CURRENCIES[number % len(_CURRENCIES)],
        version=f"3.{rng.randrange(9)}.{rng.randrange(9)}",
        build=f"12.{rng.randrange(9)}.0",
        collections=tuple(
            Collection(_digits(rng), title, tuple(rng.sample(products, rng.randint(5, 10))))
            for title in _COLLECTIONS
        ),
        pushes=tuple(Push(opaque_id(rng), title, message) for title, message in _PUSHES),
    )


def chance(rng: Random, share: float) -> bool:
    """Return True with this probability."""
    return rng.random() < share


def opaque_id(rng: Random) -> str:
    """Return ten letters and digits, as in Tapcart's ids of notifications and blocks."""
    return "".join(rng.choices("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghjkmnpqrstuvwxyz23456789", k=10))


def _product(rng: Random, line: tuple[tuple[str, ...], tuple[str, ...]], index: int) -> Product:
    makes, kinds = line
    kind = kinds[index % len(kinds)]
    colors = rng.sample(_COLORS, 2)
    return Product(
        product_id=_digits(rng),
        title=f"{makes[index // len(kinds) % len(makes)]} {kind}",
        product_type=kind,
        cents=rng.randrange(900, 18_000, 50),
        tags=tuple(rng.sample(("new-arrival", "bestseller", "sale", "gift"), rng.randint(0, 2))),
        badge=(f"badge-{rng.randrange(10**12, 10**13)}", "Low stock") if chance(rng, 0.2) else None,
        variants=tuple(_variant(rng, color, rng.choice(_SIZES)) for color in colors),
    )


def _variant(rng: Random, color: str, size: str) -> Variant:
    return Variant(_digits(rng), f"{color} / {size}", f'{{"Color":"{color}","Size":"{size}"}}')


def _digits(rng: Random) -> str:
    return str(rng.randrange(10**12, 10**13))
