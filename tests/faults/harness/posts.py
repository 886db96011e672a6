"""(seed, number) -> one POST of the sender, and its expected result. Pure.

Invariants: the same pair gives the same bytes, and no two numbers give the same body or identity. The posts
cover Tapcart's documents and docs/webhook.md: all types, drift, odd values, bodies without a
place.
"""

import gzip
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Literal

import msgspec

from schemas.catalog.table_names import table_name

SAMPLES = Path(__file__).resolve().parents[3] / "deploy" / "samples" / "mobile"

# How a post is sent. A post that is cut or has no token must leave no trace.
How = Literal["whole", "twice", "hung_up", "cut", "no_token"]
Event = dict[str, Any]

QUARANTINE, CLICKSTREAM, UNMODELLED = "quarantine", "clickstream", "unmodelled"
# Posts put into the topic by others than ingest are numbered from here.
FOREIGN = 10**12

_BLOCK = 256  # numbers are shuffled within blocks of this size
_DAY_MS = 86_400_000
# 2025-10-08T00:00:00Z: three days, and midnights between them.
_FIRST_MS = 1_759_881_600_000
_DAYS = 3
_SCATTER = 2_654_435_761  # Knuth's: neighbours are far apart
_APPS = ("app-0", "app-1", "app-2", "app-3", "app-4", "app-5", "магазин", "a.b%2E c")
_TEXTS = (
    "Ridge 20L Daypack",
    "Größe 42 — schön",
    "日本語のシャツ",
    "👟 sneaker \u200d 🏃",
    'a\tb\\n"c"',
    "nul \x00 here",
    "'; --",
)
_LONE = "lone surrogate"  # stands for an escape that no encoding can hold
_QUARANTINED, _NO_TOKEN = 0.01, 0.002


class Post(msgspec.Struct, frozen=True, gc=False):
    """One post and its expected result."""

    number: int
    how: How
    body: bytes  # as sent
    headers: bytes  # header lines, each with its line end
    status: int  # ingest's final answer
    view: str  # of `tapcart`, where it must appear
    app_id: str
    event_id: str
    device_id: str
    session_id: str
    timestamp_ms: int
    event: Event  # the expected values; {} if it is not an event
    kept: bytes  # the expected body in the quarantine


class Posts:
    """All posts of one seed; if they are `sound`, each is sent once, whole, and is answered 200."""

    def __init__(self, seed: int, *, sound: bool = False) -> None:
        self._seed, self._sound = seed, sound
        self._samples = [msgspec.json.decode(path.read_bytes()) for path in sorted(SAMPLES.glob("*.json"))]

    def block(self, index: int) -> list[tuple[int, bool]]:
        """Return (number, whether it is sent again) in the order of sending a block."""
        first = index * _BLOCK
        sent = [(number, False) for number in range(first, first + _BLOCK)]
        sent += [(n, True) for n in range(first - _BLOCK, first) if n >= 0 and self.how(n) == "twice"]
        Random(f"{self._seed}/block/{index}").shuffle(sent)
        return sent

    def how(self, number: int) -> How:
        """Return how the post `number` is sent."""
        return "whole" if self._sound else _how(self._rng(number))

    def post(self, number: int, *, good: bool = False) -> Post:
        """Return the post `number`; with `good`, one that ingest always accepts."""
        rng = self._rng(number)
        drawn = _how(rng)
        how = "whole" if self._sound else drawn
        event = self._event(rng, number)
        choice = rng.random()
        if choice < _QUARANTINED and not (good or self._sound) and how == "whole":
            return _rejected(rng, number, event)
        if choice > 1 - _QUARANTINED and not good:
            return _clickstream(rng, number, how, event)
        if choice < 0.1:
            rng.choice(_DRIFTS)(rng, event)
        return _post(rng, number, how, event)

    def _rng(self, number: int) -> Random:
        return Random((self._seed << 48) + number)

    def _event(self, rng: Random, number: int) -> Event:
        # One in fifty repeats the event before it, but for another app.
        twin = number % 50 == 1
        kin = (number - twin) * _SCATTER % 2**31
        event: Event = {**self._samples[(kin >> 8) % len(self._samples)]}
        properties = event["event_properties"] = {**event["event_properties"]}
        for name, value in properties.items():
            if value is None or value == "" or rng.random() > 0.3:
                continue
            properties[name] = (
                [rng.choice(_TEXTS), str(number)] if isinstance(value, list) else rng.choice(_TEXTS)
            )
        event["event_id"] = f"{self._seed}-{number - twin}"
        event["app_id"] = "twins" if twin else rng.choice(_APPS)
        event["device_id"] = f"device-{kin % 997}"
        event["session_id"] = f"session-{self._seed}-{number}"
        event["timestamp"] = _FIRST_MS + kin % (_DAYS * _DAY_MS)
        return event


def _how(rng: Random) -> How:
    choice = rng.random()
    if choice < 0.02:
        return "twice"
    if choice < 0.025:
        return "cut"
    if choice < 0.03:
        return "hung_up"
    return "no_token" if choice < 0.03 + _NO_TOKEN else "whole"


def _post(rng: Random, number: int, how: How, event: Event) -> Post:
    body = msgspec.json.encode(event)
    if _LONE.encode() in body:
        body = body.replace(_LONE.encode(), b"\\ud83d")
        event = msgspec.json.decode(msgspec.json.encode(event).replace(_LONE.encode(), b"\\\\ud83d"))
    headers = b""
    if rng.random() < 0.01:
        body, headers = gzip.compress(body, 1, mtime=0), b"content-encoding: gzip\r\n"
    known = not event["event_type"].startswith("Wishlist")
    view = table_name(event["event_type"]) if known else UNMODELLED
    status = 401 if how == "no_token" else 200
    return _described(number, how, body, headers, status, view, event)


def _described(  # noqa: PLR0913, PLR0917 - the fields of a post
    number: int, how: How, body: bytes, headers: bytes, status: int, view: str, event: Event
) -> Post:
    return Post(
        number=number,
        how=how,
        body=body,
        headers=headers,
        status=status,
        view=view,
        app_id=event["app_id"],
        event_id=event["event_id"],
        device_id=event["device_id"],
        session_id=event["session_id"],
        timestamp_ms=event["timestamp"],
        event=event,
        kept=b"",
    )


def _clickstream(rng: Random, number: int, how: How, event: Event) -> Post:
    """Return an event of Tapcart's newer product, whose envelope is in the headers."""
    event_id = event["event_id"] = f"{event['event_id']}-{number}"
    sent: Event = {
        "event": "product_viewed",
        "data": {"number": number, "text": rng.choice(_TEXTS)},
        "properties": event["event_properties"],
        "mp_metadata": {"mp_event_id": event_id, "mp_session_id": event["session_id"]},
    }
    app_id = f"app-{rng.randrange(6)}"
    headers = f"appid: {app_id}\r\ndeviceid: {event['device_id']}\r\n".encode()
    status = 401 if how == "no_token" else 200
    envelope = event | {"app_id": app_id, "timestamp": 0}
    post = _described(number, how, msgspec.json.encode(sent), headers, status, CLICKSTREAM, envelope)
    return msgspec.structs.replace(post, event=sent)


def _rejected(rng: Random, number: int, event: Event) -> Post:
    """Return a body that has no place in any table."""
    plain = msgspec.json.encode(event)
    missing = rng.choice((("event_type",), ("event_id",), ("app_id",), ("timestamp", "timestamp_iso")))
    without = {name: value for name, value in event.items() if name not in missing}
    headers = b""
    bodies: dict[int, list[bytes]] = {
        400: [
            plain[: -rng.randrange(1, 9)],
            plain[:-1] + b',"x":NaN}',
            plain.replace(b"session-", b"\xff\xfe", 1),
        ],
        422: [
            msgspec.json.encode(without),
            b"[" + plain + b"]",
            msgspec.json.encode(event | {"event_id": ""}),
            msgspec.json.encode(event | {"app_id": number}),
            msgspec.json.encode(event | {"timestamp": event["timestamp"] // 1000}),
            msgspec.json.encode(event | {"timestamp": 4_102_444_800_000}),
        ],
    }
    status = rng.choice((400, 422))
    body = rng.choice(bodies[status])
    if status == 400 and rng.random() < 0.2:
        body, headers = gzip.compress(plain, 1, mtime=0)[:-3], b"content-encoding: gzip\r\n"
    post = _described(number, "whole", body, headers, status, QUARANTINE, event)
    return msgspec.structs.replace(post, event={}, kept=body)


def _new_field(rng: Random, event: Event) -> None:
    event["event_properties"] |= {
        "loyalty.tier": rng.choice(_TEXTS),
        "points": 10**25,
        "nested": {"a": [1, None, {}]},
    }
    event["region"] = {"name": "eu-1", "rates": [0.1, 1e3]}


def _new_version(rng: Random, event: Event) -> None:
    event["metadata"] = {"schema_id": f"Event_{event['event_type']}_{rng.choice(('5_1_0', '6_0_0'))}"}


def _new_type(rng: Random, event: Event) -> None:
    event["event_type"] = rng.choice(("WishlistShared", "WishlistRenamed"))
    event["event_properties"] |= {"wish": rng.choice(_TEXTS), "count": 7, "deep": {"x": {"y": [1.5, "2"]}}}


def _no_blocks(rng: Random, event: Event) -> None:
    for name in ("device_properties", "session_properties", "app_properties", "metadata"):
        if rng.random() < 0.5:
            event.pop(name, None)
        else:
            event[name] = None


def _odd_values(rng: Random, event: Event) -> None:
    names = sorted(event["event_properties"])
    for name in rng.sample(names, min(3, len(names))):
        event["event_properties"][name] = rng.choice(
            [7, 0.25, True, False, {"was": "text"}, [1, "2"], -(10**19)]
        )
    event["timestamp_iso"] = rng.choice([5, None, ["2025"]])


def _odd_texts(rng: Random, event: Event) -> None:
    event["event_properties"] |= {"source": _LONE, "new": _LONE, "long": "long " * rng.randrange(10_000)}


_DRIFTS: tuple[Callable[[Random, Event], None], ...] = (
    _new_field,
    _new_version,
    _new_type,
    _no_blocks,
    _odd_values,
    _odd_texts,
)
