"""`python -m tests.fuzz.heaviest`: a search for bodies that cost ingest much more time than usual ones.

A recipe grows to any size: its unit is repeated between head and tail (`#` in it: a number that counts up).
The search changes the best recipes of each head at random, and keeps those that cost more; the best of all
are written to the corpus, which a test measures. Time is that of this thread, from body to record. What
counts is the excess: the time beyond that of a usual body of the size, in parts of what a usual event takes
for as many bytes (20 us per KB on the machine of docs/benchmarks.md).
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random

from ingest.http.receive import Receiver
from schemas.catalog.catalog import Catalog

CORPUS = Path(__file__).with_name("corpus") / "heavy"
SIZES = (4_096, 65_536)
_NOW_MS = 1_795_000_000_000
_EVENT_BYTES = 1_700
_KEPT = 24
_UNIT_TOKENS_MAX = 12
_TRIES_MIN = 15

_SAMPLES = Path(__file__).parents[2] / "deploy" / "samples" / "mobile"
_NOBODY = '{"event_type":"Nobody","event_id":"e","app_id":"a","timestamp":1760000000000'
_CLICK = '{"event":"x","mp_metadata":{"mp_event_id":"x"'
_IDS = '{"event_id":"e","app_id":"a","timestamp":1760000000000,'
_TOKENS = (
    *("[", "]", "{", "}", ",", ":", '"', "[]", "{}", '""', '"a":', '"#":', '"#":1,', '"a.b%":1,', "[],"),
    *("\\n", "\\\\", '\\"', "\\ud83d", "\\ude00", "\\u00e9", "\\u0000", "\u00e9", "\u65e5", "\x00", " "),
    *("1e308", "1e308,", "1e-320,", "0.1,", "1e999,", "17976931348623157081452742373170435679,", "9" * 40),
    *("-", ".", "e", "null,", "true,", '"x",', "x", "%", "2025-10-09T05:00:00Z", "1.7976931348623157e308,"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recipe:
    """A body of any size."""

    head: str
    unit: str
    tail: str

    def body(self, size: int) -> bytes:
        """Return the body, about `size` bytes long."""
        times = max(1, (size - len(self.head) - len(self.tail)) // max(1, len(self.unit.encode())))
        if "#" in self.unit:
            middle = "".join(self.unit.replace("#", f"{number:x}") for number in range(times))
        else:
            middle = self.unit * times
        return (self.head + middle + self.tail).encode()


USUAL = Recipe(f'{_NOBODY},"event_properties":{{', '"property_#":"some value",', '"last":1}}')


def recipes() -> Iterator[Recipe]:
    """Yield the corpus."""
    for path in sorted(CORPUS.glob("*.json")):
        yield Recipe(**json.loads(path.read_text()))


class Scale:
    """Compares bodies with usual ones."""

    def __init__(self) -> None:
        self._receiver = Receiver(Catalog.load())
        self._usual = {size: USUAL.body(size) for size in (_EVENT_BYTES, *SIZES)}

    def excess(self, recipe: Recipe, size: int, tries: int = 3, enough: float = float("-inf")) -> float:
        """Return the time beyond a usual body's; 1.0: the time of a usual event of as many bytes.

        It ends before `tries` once it is less than `enough`: other load adds time, and never takes some away.
        """
        bodies = recipe.body(size), self._usual[size], self._usual[_EVENT_BYTES]
        least = [float("inf")] * len(bodies)
        for tried in range(1, tries + 1):
            # By turns, so that other load slows all of them.
            least = [
                min(best, self._once(body) / len(body)) for best, body in zip(least, bodies, strict=True)
            ]
            found = (least[0] - least[1]) / least[2]
            if tried >= _TRIES_MIN and found < enough:
                break
        return found

    def _once(self, body: bytes) -> float:
        began = time.thread_time_ns()
        self._receiver.receive(body, {}, _NOW_MS)
        return (time.thread_time_ns() - began) / 1e9


def _heads() -> Iterator[tuple[str, str]]:
    yield "", ""
    for head in (
        _NOBODY,
        _CLICK,
        *(path.read_text().rstrip().removesuffix("}") for path in sorted(_SAMPLES.glob("*.json"))),
    ):
        yield f"{head},", '"z":0}'
        yield f'{head},"z":', "}"
        yield f'{head},"z":"', '"}'
        yield f'{head},"z":[', "0]}"
        for block in ("event_properties", "metadata", "mp_metadata", "device_info"):
            yield f'{head},"{block}":{{', '"z":0}}'
            yield f'{head},"{block}":{{"z":[', "0]}}"
        for member in ("product_ids", "timestamp", "app_id", "event_id", "timestamp_iso"):
            yield f'{head},"{member}":["', '"]}'
            yield f'{head},"{member}":"', '"}'
    yield f'{_IDS}"event_type":"', '"}'
    yield cart("")
    yield cart(',"z":0')


def cart(rest: str) -> tuple[str, str]:
    """Return head and tail of an event with a list where its schema has one; `rest`: members behind it."""
    event = json.loads((_SAMPLES / "CartViewed.json").read_text())
    del event["event_properties"]
    head = f'{json.dumps(event)[:-1]},"event_properties":{{"cart_total_product_id_list":['
    return head, f'""]}}{rest}}}'


def _changed(rng: Random, recipe: Recipe) -> Recipe:
    head, tail = rng.choice(_HEADS) if rng.random() < 0.1 else (recipe.head, recipe.tail)
    unit = recipe.unit
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(unit) + 1)
        match rng.randrange(5):
            case 0:
                unit = unit[:at] + unit[at + rng.randrange(1, 6) :]
            case 1:
                unit = unit[:at] + unit[at:] * 2
            case _:
                unit = unit[:at] + rng.choice(_TOKENS) * rng.choice((1, 1, 1, 2, 40)) + unit[at:]
    return Recipe(head, unit[:400] or rng.choice(_TOKENS), tail)


_HEADS = tuple(_heads())


def search(rng: Random, seconds: float) -> list[tuple[float, Recipe]]:
    """Return the heaviest recipes, each with a head of its own, the heaviest first."""
    scale, best = Scale(), dict[str, tuple[float, Recipe]]()
    for recipe in recipes():
        best[recipe.head] = max(
            best.get(recipe.head, (0.0, recipe)), (_score(scale, recipe), recipe), key=_first
        )
    deadline, tried = time.monotonic() + seconds, 0
    while time.monotonic() < deadline:
        tried += 1
        if rng.random() < 0.2 or not best:
            head, tail = rng.choice(_HEADS)
            unit = "".join(rng.choice(_TOKENS) for _ in range(rng.randrange(1, _UNIT_TOKENS_MAX)))
            recipe = Recipe(head, unit, tail)
        else:
            leaders = sorted(best.values(), key=_first)[-12:] if rng.random() < 0.7 else [*best.values()]
            recipe = _changed(rng, rng.choice(leaders)[1])
        found = scale.excess(recipe, rng.choice(SIZES), 2)
        if found > best.get(recipe.head, (0.0, recipe))[0]:
            best[recipe.head] = max(
                best.get(recipe.head, (0.0, recipe)), (_score(scale, recipe), recipe), key=_first
            )
    sys.stdout.write(f"{tried} bodies tried\n")
    return sorted(best.values(), key=_first, reverse=True)


def _score(scale: Scale, recipe: Recipe) -> float:
    return max(scale.excess(recipe, size, 10) for size in SIZES)


def _first(found: tuple[float, Recipe]) -> float:
    return found[0]


def main() -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.heaviest", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to search (default: 60)")
    parser.add_argument("--seed", type=int, default=1, help="of all choices (default: 1)")
    parser.add_argument("--write", action="store_true", help=f"keep the {_KEPT} heaviest in the corpus")
    options = parser.parse_args()
    found = search(Random(options.seed), options.seconds)[:_KEPT]
    for excess, recipe in found:
        sys.stdout.write(f"{excess:6.2f} {recipe.head[-40:]!r} + {recipe.unit[:60]!r}\n")
    if options.write:
        for path in CORPUS.glob("*.json"):
            path.unlink()
        CORPUS.mkdir(exist_ok=True)
        for number, (_, recipe) in enumerate(found):
            (CORPUS / f"{number:02}.json").write_text(json.dumps(asdict(recipe), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
