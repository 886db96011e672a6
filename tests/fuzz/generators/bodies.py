"""JSON bodies of events: samples with odd values, odd members, odd types; then damaged bytes."""

import gzip
import json
import zlib
from pathlib import Path
from random import Random
from typing import Any

from tests.fuzz.case import Case, Place, damaged, request, split

_SAMPLES = [
    json.loads(path.read_bytes())
    for path in sorted((Path(__file__).parents[3] / "deploy" / "samples" / "mobile").glob("*.json"))
]
_TYPES = (
    "Select",
    "Settings",
    "Values",
    "Format",
    "From",
    "With",
    "Order",
    "../x",
    "A" * 1025,
    "é",
    "",
    "a b",
)
_NAMES = (
    "",
    ".",
    "a.b",
    "%",
    "%2E",
    "$",
    "\u0000",
    "event_id",
    "timestamp",
    "'; --",
    "x" * 300,
    "\ud83d",
    "日本",
)


def event(rng: Random) -> dict[str, Any]:
    """Return an event with something odd in it."""
    made: dict[str, Any] = json.loads(json.dumps(rng.choice(_SAMPLES)))
    made["event_id"] = f"fuzz-{rng.getrandbits(64):x}"
    for _ in range(rng.randrange(1, 6)):
        _mutate(rng, made)
    return made


def text(rng: Random) -> bytes:
    """Return the JSON text of an odd event, sometimes of something else."""
    match rng.randrange(12):
        case 0:
            return _deep(rng)
        case 1:
            return json.dumps(value(rng, 3)).encode("utf-8", "surrogatepass")
        case 2:
            return damaged(rng, json.dumps(event(rng)).encode())
        case 3:
            return rng.choice((b"\xef\xbb\xbf", b"\xff\xfe", b" \n", b"")) + json.dumps(event(rng)).encode()
        case _:
            return json.dumps(event(rng), ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")


def value(rng: Random, depth: int = 2) -> Any:  # noqa: PLR0911 - one line per kind of value
    """Return a JSON value of any kind."""
    match rng.randrange(14):
        case 0:
            return rng.choice((None, True, False, "", [], {}))
        case 1:
            return rng.choice(
                (0, -1, 2**63, -(2**63) - 1, 10**400, 1e308, -1e-320, 0.1, 1.7e12, 253402300800000)
            )
        case 2:
            return [1e308] * rng.randrange(1, 400)
        case 3:
            return rng.choice(("\ud83d", "\u0000", "\u202e", "\x1b[31m", "é" * 400, "1700000000000", "1e999"))
        case 4:
            return "x" * rng.choice((10, 1023, 1025, 70_000))
        case 5:
            return {
                f"m{n}": rng.choice((n, str(n), [n], {"a": n}, None)) for n in range(rng.choice((3, 1000)))
            }
        case 6 if depth:
            return [value(rng, depth - 1) for _ in range(rng.randrange(1, 9))]
        case 7 if depth:
            return {rng.choice(_NAMES): value(rng, depth - 1) for _ in range(rng.randrange(1, 9))}
        case 8:
            return rng.choice(("2026-02-30T00:00:00Z", "2026-01-01T00:00:00Z", "now", "1970-01-01", "+1"))
        case _:
            return rng.choice((rng.random(), rng.getrandbits(40), str(rng.random())))


def _mutate(rng: Random, made: dict[str, Any]) -> None:
    block = rng.choice([made, *(v for v in made.values() if isinstance(v, dict))])
    name = rng.choice([*block, *_NAMES]) if block else rng.choice(_NAMES)
    match rng.randrange(6):
        case 0:
            block.pop(name, None)
        case 1:
            made["event_type"] = rng.choice(_TYPES)
        case 2:
            made["timestamp"] = value(rng)
        case 3:
            made["metadata"] = {"schema_id": rng.choice(("Event_AppOpened_9_9_9", "Event_x", "", "\u0000"))}
        case _:
            block[name] = value(rng)


def _deep(rng: Random) -> bytes:
    depth = rng.choice((10, 63, 65, 499, 501, 5_000, 100_000))
    opening, closing = rng.choice(((b"[", b"]"), (b'{"a":', b"}")))
    inner = opening * depth + b"1" + (closing * depth if rng.random() < 0.8 else b"")
    whole = json.dumps(event(rng)).encode()
    return inner if rng.random() < 0.3 else whole[:-1] + b', "deep": ' + inner + b"}"


def make(rng: Random, place: Place) -> Case:
    """Return one POST."""
    seeds = place.corpus.get("bodies", [])
    body = rng.choice(seeds) if seeds and rng.random() < 0.1 else text(rng)
    headers: list[bytes] = []
    match rng.randrange(12):
        case 0:
            body, headers = gzip.compress(body, mtime=0), [b"Content-Encoding: gzip"]
        case 1:
            body, headers = zlib.compress(body), [b"Content-Encoding: deflate"]
        case 2:
            body, headers = damaged(rng, gzip.compress(body, mtime=0)), [b"Content-Encoding: gzip"]
        case 3:
            odd = (b"br", b"zstd", b"gzip, identity", b"utf-8", b"x", b"gzip, gzip, gzip", b"")
            headers = [b"Content-Encoding: " + rng.choice(odd)]
        case 4:
            headers = [b"appid: shop", b"eventid: \xff", b"deviceid: " + rng.randbytes(3).hex().encode()]
    return Case(split(rng, request(place.path, body, *headers)))
