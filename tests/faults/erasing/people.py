"""Seed -> people, and posts that hold their ids in every place that a post has. Pure but for `now_ms`.

Invariants: a person's ids occur in posts about them alone; other posts hold ids that differ by one character.
Each post has an event id of its own, which is in its body.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any
from uuid import UUID

from tests.support.process import SAMPLES

EVENTS, CLICKSTREAM, QUARANTINE = "events", "clickstream", "quarantine"
_APPS = 4
_LETTERS = "ghijklmno"  # in no id

_SAMPLES: list[dict[str, Any]] = [json.loads(path.read_text()) for path in sorted(SAMPLES.glob("*.json"))]
Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """The ids of somebody."""

    device: str
    session: str
    user: str

    @property
    def ids(self) -> tuple[str, str, str]:
        """All of them."""
        return self.device, self.session, self.user

    @property
    def lines(self) -> str:
        """Lines of a file of ids for `tapline erase`."""
        return f"device_id {self.device}\nsession_id {self.session}\nshopify_user_id {self.user}\n"


@dataclass(frozen=True, slots=True)
class Post:
    """One post."""

    event_id: str
    is_about: bool  # one of the people
    view: str  # of `tapcart`, where it appears
    body: bytes
    headers: bytes  # header lines, each with its line end


class Posts:
    """The posts of a seed."""

    def __init__(self, seed: int, people: int) -> None:
        rng = self._rng = Random(seed)
        self._prefix = f"ev-{seed}"
        self.people = [_person(rng) for _ in range(people)]
        self.others = [_near(one, variant) for one in self.people for variant in range(len(_LETTERS))]
        self._number = 0

    def of_people(self, now_ms: int, people: list[Person] | None = None) -> Post:
        """Return a new post about one of the people."""
        return self._post(self._rng.choice(people or self.people), now_ms, is_about=True)

    def of_others(self, now_ms: int) -> Post:
        """Return a new post about nobody of them."""
        return self._post(self._rng.choice(self.others), now_ms, is_about=False)

    def _post(self, person: Person, now_ms: int, *, is_about: bool) -> Post:
        rng, self._number = self._rng, self._number + 1
        event_id = f"{self._prefix}-{self._number}-end"
        app_id = f"erasing-{rng.randrange(_APPS)}"
        view, make = rng.choice(_FORMS)
        event = {"event_id": event_id, "app_id": app_id, "timestamp": now_ms}
        body, headers = make(event, person, rng.choice(self.others), rng)
        return Post(event_id, is_about, view, body, headers)


def _person(rng: Random) -> Person:
    device, session = (str(UUID(int=rng.getrandbits(128))) for _ in range(2))
    return Person(device.upper(), session, str(rng.randrange(10**12, 10**13)))


def _near(person: Person, variant: int) -> Person:
    """Return somebody whose ids differ in their last characters."""
    last, digit = _LETTERS[variant], (int(person.user[-1]) + 1 + variant) % 10
    return Person(person.device[:-1] + last, person.session[:-1] + last, f"{person.user[:-1]}{digit}")


def _known(event: Event, person: Person, rng: Random) -> Event:
    """Return an event of a random type, with all ids of a person."""
    sample = rng.choice(_SAMPLES)
    blocks = {
        "device_properties": (sample.get("device_properties") or {}) | {"device_id": person.device},
        "session_properties": (sample.get("session_properties") or {}) | {"session_id": person.session},
        "shopify_properties": {"shopify_user_id": person.user, "logged_in": True},
    }
    own = {"event_id": event["event_id"]}
    of_type = (sample.get("event_properties") or {}) | own
    if "purchase_shopify_user_id" in of_type:
        of_type |= {"purchase_shopify_user_id": person.user}
    ids = {"device_id": person.device, "session_id": person.session}
    return sample | {"app_properties": None, "event_properties": of_type} | blocks | ids | event


def _bytes(event: Event) -> tuple[bytes, bytes]:
    return json.dumps(event).encode(), b""


def _typed(event: Event, person: Person, _: Person, rng: Random) -> tuple[bytes, bytes]:
    return _bytes(_known(event, person, rng))


def _nested(event: Event, person: Person, other: Person, rng: Random) -> tuple[bytes, bytes]:
    one = rng.choice(person.ids)
    note = {"of": [f"see {one}!", {"url": f"https://shop.example/?c={one}&x=1"}]}
    return _bytes(_known(event, other, rng) | {"note": note})


def _in_text(event: Event, person: Person, other: Person, rng: Random) -> tuple[bytes, bytes]:
    text = json.dumps({"inner": json.dumps({"id": rng.choice(person.ids)})})
    return _bytes(_known(event, other, rng) | {"state": text})


def _unmodelled(event: Event, person: Person, other: Person, rng: Random) -> tuple[bytes, bytes]:
    ids = {"device_id": other.device, "session_id": other.session}
    own = {"event_type": "Wished", "event_properties": {"by": {"deep": [rng.choice(person.ids)]}}}
    return _bytes(event | ids | own)


def _clickstream(event: Event, person: Person, _: Person, rng: Random) -> tuple[bytes, bytes]:
    at = {"mp_event_id": event["event_id"], "mp_session_id": person.session}
    click = {"event": "cartAdd", "data": {"for": rng.choice(person.ids)}, "mp_metadata": at}
    return json.dumps(click).encode(), f"appid: {event['app_id']}\r\ndeviceid: {person.device}\r\n".encode()


def _invalid(event: Event, person: Person, _: Person, rng: Random) -> tuple[bytes, bytes]:
    """Return a body whose time is impossible; the id begins with an escape."""
    body = json.dumps(_known(event, person, rng) | {"timestamp": 1})
    return body.replace(person.device, f"\\u{ord(person.device[0]):04x}{person.device[1:]}").encode(), b""


def _cut(event: Event, person: Person, _: Person, rng: Random) -> tuple[bytes, bytes]:
    ids = {"device_id": person.device, "session_id": person.session, "user": person.user}
    return json.dumps(event | ids | {"rest": "x" * rng.randrange(5, 50)})[:-2].encode(), b""


_Make = Callable[[Event, Person, Person, Random], tuple[bytes, bytes]]
_FORMS: list[tuple[str, _Make]] = [
    *[(EVENTS, _typed)] * 4,
    (EVENTS, _nested),
    (EVENTS, _in_text),
    (EVENTS, _unmodelled),
    (CLICKSTREAM, _clickstream),
    (QUARANTINE, _invalid),
    (QUARANTINE, _cut),
]
