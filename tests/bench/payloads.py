"""The samples of Tapcart's events -> bodies of POSTs that differ in their event id alone.

Invariants: all bodies of one payload have one length, so a request's head is made once; an id never occurs
twice in one run of the bench.
"""

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.process import SAMPLES

ID_BYTES = 16
_SLOT = "@" * ID_BYTES
_numbers = itertools.count(1)


def new_id() -> bytes:
    """Return an unused event id."""
    return b"bench-%010x" % next(_numbers)


@dataclass(frozen=True, slots=True)
class Template:
    """A body with a place for the event id."""

    before: bytes
    after: bytes

    @property
    def size(self) -> int:
        """The length of a body in bytes."""
        return len(self.before) + ID_BYTES + len(self.after)


@dataclass(frozen=True, slots=True)
class Payload:
    """The posted bodies: one type of event, or several by turns."""

    name: str
    templates: Sequence[Template] = field(repr=False)


def template(path: Path, **changes: str) -> Template:
    """Return a sample in the form that phones send: without white space."""
    event = json.loads(path.read_text()) | {"event_id": _SLOT} | changes
    text = json.dumps(event, separators=(",", ":"), ensure_ascii=False)
    before, _, after = text.partition(_SLOT)
    return Template(before.encode(), after.encode())


def payloads() -> dict[str, Payload]:
    """Return the payloads by name."""
    everything = {path.stem: template(path) for path in sorted(SAMPLES.glob("*.json"))}
    one = {name: Payload(name, [everything[name]]) for name in ("AppOpened", "PurchaseCompleted")}
    mix = Payload(f"mix of {len(everything)}", [*everything.values()])
    return one | {"mix": mix}
