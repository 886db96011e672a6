"""Seed, shop, install day and number -> a shopper with a phone; and the visitors of a day.

Invariants: a shopper is a pure function of its key, so it is the same person on every day and no day needs
another. A phone's clock may be wrong by hours; the shopper's address is reserved for documentation (RFC
5737).
"""

from collections.abc import Iterator
from random import Random
from uuid import UUID

from msgspec import Struct

from deploy.demo.shops import chance

_DAY_MS = 86_400_000
# country, locale, currency, UTC offset in minutes, price in that currency per shop's unit
_HOMES = (
    ("US", "en", "USD", -420, 1.0),
    ("US", "en", "USD", -300, 1.0),
    ("CA", "fr", "CAD", -300, 1.36),
    ("GB", "en", "GBP", 0, 0.79),
    ("DE", "de", "EUR", 60, 0.92),
    ("AU", "en", "AUD", 600, 1.52),
    ("AE", "ar", "AED", 240, 3.67),
)
_HOME_WEIGHTS = (30, 28, 10, 12, 10, 6, 4)
_IPHONES = ("iPhone13,2", "iPhone14,5", "iPhone15,2", "iPhone16,1")
_ANDROIDS = (("Google", "Pixel 8"), ("samsung", "SM-S911B"), ("Xiaomi", "2201117TG"))
_NETWORKS = ("203.0.113", "198.51.100", "192.0.2")
# Share of a day's sessions that are first launches.
_NEW_SHARE = 0.18
_RETENTION_DAYS = 45
_DEBUG_SHARE = 0.01
# Sessions by local hour: quiet nights, a lunch break, the evening on the sofa.
_HOUR_WEIGHTS = (2, 1, 1, 1, 1, 2, 4, 6, 7, 7, 8, 9, 11, 10, 8, 8, 9, 10, 12, 15, 17, 15, 9, 4)


class Shopper(Struct, frozen=True):
    """One person and phone."""

    device_id: str
    country: str
    locale: str
    currency: str
    rate: float  # price in `currency` per shop's unit
    utc_offset_minutes: int
    ip: str
    ios: bool
    os_version: str
    manufacturer: str
    model: str
    push_enabled: bool
    shopify_user_id: str | None
    skew_ms: int  # how far the phone's clock is ahead
    eagerness: float  # 0..1, how likely to buy
    debug: bool  # a developer of the app, with a debug build


class Visit(Struct, frozen=True):
    """A planned session."""

    start_ms: int
    shopper: Shopper
    first: bool  # first launch after install


def visits(seed: int, app_id: str, day: int, sessions: float) -> list[Visit]:
    """Return the visits of a UTC day (number since 1970), about `sessions` of them, by start."""
    rng = Random(f"{seed}/{app_id}/{day}")  # noqa: S311 - invented data
    new = max(1, round(sessions * _NEW_SHARE))
    found = [Visit(_start_ms(rng, day, who), who, first=True) for who in _cohort(seed, app_id, day, new)]
    ages = range(1, _RETENTION_DAYS + 1)
    weights = [age**-0.7 for age in ages]
    for age in rng.choices(ages, weights, k=max(0, round(sessions) - new)):
        who = shopper(seed, app_id, day - age, rng.randrange(new))
        found.append(Visit(_start_ms(rng, day, who), who, first=False))
    return sorted(found, key=lambda visit: visit.start_ms)


def shopper(seed: int, app_id: str, install_day: int, number: int) -> Shopper:
    """Return the `number`th shopper to install the app on that day."""
    rng = Random(f"{seed}/{app_id}/{install_day}/{number}")  # noqa: S311 - invented data
    country, locale, currency, offset, rate = rng.choices(_HOMES, _HOME_WEIGHTS)[0]
    ios = chance(rng, 0.62)
    device = str(UUID(int=rng.getrandbits(128), version=4))
    manufacturer, model = ("Apple", rng.choice(_IPHONES)) if ios else rng.choice(_ANDROIDS)
    return Shopper(
        device_id=device.upper() if ios else device,
        country=country,
        locale=locale,
        currency=currency,
        rate=rate,
        utc_offset_minutes=offset,
        ip=f"{rng.choice(_NETWORKS)}.{rng.randrange(1, 255)}",
        ios=ios,
        os_version=rng.choice(("16.7", "17.6", "18.1")) if ios else rng.choice(("12", "13", "14")),
        manufacturer=manufacturer,
        model=model,
        push_enabled=chance(rng, 0.55),
        shopify_user_id=str(rng.randrange(10**12, 10**13)) if chance(rng, 0.4) else None,
        skew_ms=_skew_ms(rng),
        eagerness=rng.random(),
        debug=chance(rng, _DEBUG_SHARE),
    )


def _cohort(seed: int, app_id: str, day: int, count: int) -> Iterator[Shopper]:
    return (shopper(seed, app_id, day, number) for number in range(count))


def _start_ms(rng: Random, day: int, who: Shopper) -> int:
    hour = rng.choices(range(24), _HOUR_WEIGHTS)[0]
    local_ms = hour * 3_600_000 + rng.randrange(3_600_000)
    return day * _DAY_MS + (local_ms - who.utc_offset_minutes * 60_000) % _DAY_MS


def _skew_ms(rng: Random) -> int:
    spread_ms = rng.choices((1_500, 300_000, 40_000_000), (90, 8, 2))[0]
    return round(rng.gauss(0, spread_ms))
