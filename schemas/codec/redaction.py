"""Rules about personal data -> events and bodies without it, before anything is kept. Pure.

Invariants: a strictly decoded event and the same event read member by member lose the same values. Applying
a rule twice changes nothing more, so a replayed body keeps its hashes. What a rule cannot transform (an
object, a list too long) it removes. Work is bounded by the body's size. Source:
docs/decisions/0032-redaction.md.
"""

import codecs
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import Any

import msgspec

from schemas.catalog.schema_model import BLOCK, LIST, TEXT, Field
from schemas.codec.compiler import Codec, attribute
from schemas.codec.envelope import Invalid, NotJson, value_of_body
from schemas.codec.lenient import Members, elements_of, kind_of, members_of, text_of

DROP, HASH, TRUNCATE = "drop", "hash", "truncate"
ACTIONS = (DROP, HASH, TRUNCATE)

Path = tuple[str, ...]  # names of members, from the event inwards
Rules = Mapping[Path, str]  # path -> one of ACTIONS
# By member name: an action, or the rules of the members inside.
_Tree = dict[str, "_Tree | str"]
_Transform = Callable[[str], str]
_Step = tuple[str, str, Callable[[Any], Any]]  # attribute of the block or "", attribute, transformation

_BLOCK_BYTES = 64  # of SHA-256
_MARK = "hmac:"  # before each hash
_HASHED = re.compile(_MARK + "[0-9a-f]{64}")
_TEXT_KEPT = 3  # characters that `truncate` keeps of a text that is no address
_IPV6_BYTES, _IPV6_REST, _ADDRESS_LENGTH_MAX = 6, bytes(10), 45
_CACHED_TEXTS, _CACHED_LENGTH_MAX = 8192, 64
_ELEMENTS_MAX, _NESTED_LISTS_MAX = 1_000, 16  # each element costs 1-3 us
# A clickstream event has its session there, and its device in a header.
_SESSION, _CLICKSTREAM_SESSION = ("session_id",), ("mp_metadata", "mp_session_id")
_DEVICE, _CLICKSTREAM_DEVICE = "device_id", "deviceid"


@dataclass(frozen=True, slots=True)
class RedactionRules:
    """What to remove from which events."""

    everywhere: Rules
    by_event_type: Mapping[str, Rules]
    key: bytes = b""  # of HASH
    keeps_unparsed: bool = False  # bodies that are not JSON, where no path can be found


class Redaction:
    """Compiled rules."""

    def __init__(self, rules: RedactionRules) -> None:
        self._rules = rules
        self._transforms: dict[str, _Transform] = {HASH: hashing(rules.key), TRUNCATE: _truncated}
        everywhere = dict(rules.everywhere)
        self._everywhere = _tree(everywhere)
        self._by_event_type = {
            name: _tree(everywhere | dict(own)) for name, own in rules.by_event_type.items()
        }
        # Nobody knows which rules hold for an event without a type, so all do, the strongest first.
        strongest: dict[Path, str] = {}
        for own in (rules.everywhere, *rules.by_event_type.values()):
            for path, action in own.items():
                strongest[path] = min(action, strongest.get(path, action), key=ACTIONS.index)
        self._strongest = _tree(strongest)

    def steps(self, codec: Codec) -> tuple[_Step, ...]:
        """Return the transformations of a strictly decoded event, for `redact`."""
        return tuple(self._steps(codec.fields, self._tree_of_type(codec.release.name)))

    def members(self, members: Members) -> Members:
        """Return the members of an event without what the rules remove. `members` may be changed."""
        return self._members(self._tree_of(members), members, _Budget())

    def headers(self, event_type: str, headers: Mapping[str, str]) -> Mapping[str, str]:
        """Return the headers of a clickstream event; the rule of `device_id` holds for its header."""
        rule = self._tree_of_type(event_type).get(_DEVICE)
        if not isinstance(rule, str) or _CLICKSTREAM_DEVICE not in headers:
            return headers
        value = headers[_CLICKSTREAM_DEVICE]
        return {**headers, _CLICKSTREAM_DEVICE: "" if rule == DROP else self._transforms[rule](value)}

    def body(self, body: bytes) -> bytes:
        """Return a body as the quarantine may keep it: redacted JSON, or what is kept of other bodies."""
        try:
            raw = self._event_or_list(value_of_body(body.removeprefix(codecs.BOM_UTF8)), _Budget())
        except (NotJson, Invalid, msgspec.DecodeError, RecursionError):
            raw = None
        if raw is not None:
            return bytes(raw)
        if self._rules.keeps_unparsed:
            return body
        digest = hashlib.sha256(body).hexdigest()
        return msgspec.json.encode({"body_not_kept": {"bytes": len(body), "sha256": digest}})

    def _event_or_list(self, raw: msgspec.Raw, budget: "_Budget") -> msgspec.Raw | None:
        kind = kind_of(raw)
        if kind == "an object":
            members = members_of(raw)
            return _raw(self._members(self._tree_of(members), members, budget))
        if kind != "an array":
            return None  # a text may hold anything
        elements = elements_of(raw)
        if not budget.takes(len(elements)) or any(kind_of(one) != "an object" for one in elements):
            return None
        return _raw([self._event_or_list(one, budget) for one in elements])

    def _tree_of(self, members: Members) -> _Tree:
        name = members.get("event_type", members.get("event"))
        if name is None or kind_of(name) != "a string":
            return self._strongest
        return self._tree_of_type(text_of(name))

    def _tree_of_type(self, event_type: str) -> _Tree:
        return self._by_event_type.get(event_type, self._everywhere)

    def _members(self, tree: _Tree, members: Members, budget: "_Budget") -> Members:
        for name, rule in tree.items():
            if (raw := members.get(name)) is None:
                continue
            after = self._value(rule, raw, budget)
            if after is None:
                del members[name]
            else:
                members[name] = after
        return members

    def _value(self, rule: _Tree | str, raw: msgspec.Raw, budget: "_Budget") -> msgspec.Raw | None:
        kind = kind_of(raw)
        if rule == DROP:
            return None
        if kind == "an array":
            return self._list(rule, raw, budget)
        if isinstance(rule, dict):
            if kind == "an object":
                return _raw(self._members(rule, members_of(raw), budget))
            return _raw(self._inside(rule, text_of(raw), budget)) if kind == "a string" else raw
        if kind in ("null", "an object"):
            return raw if kind == "null" else None
        return _raw(self._transforms[rule](text_of(raw) if kind == "a string" else bytes(raw).decode()))

    def _list(self, rule: _Tree | str, raw: msgspec.Raw, budget: "_Budget") -> msgspec.Raw | None:
        elements = elements_of(raw)
        if not budget.takes(len(elements)) or budget.depth == _NESTED_LISTS_MAX:
            return None
        budget.depth += 1
        after = [self._value(rule, element, budget) for element in elements]
        budget.depth -= 1
        return _raw([element for element in after if element is not None])

    def _inside(self, tree: _Tree, text: str, budget: "_Budget") -> str:
        """Return a text where the rules expect an object; it may be one as JSON text."""
        if not text.lstrip().startswith(("{", "[")):
            return text
        try:
            after = self._value(tree, value_of_body(text.encode()), budget)
        except (NotJson, Invalid, msgspec.DecodeError, RecursionError):
            return text
        return "" if after is None else bytes(after).decode()

    def _steps(self, fields: tuple[Field, ...], tree: _Tree, block: str = "") -> Iterator[_Step]:
        for field in fields:
            rule = tree.get(field.member)
            if rule is None:
                continue
            if field.kind == BLOCK and isinstance(rule, dict):
                yield from self._steps(field.fields, rule, attribute(field))
            elif transform := self._transform(field, rule):
                yield block, attribute(field), transform

    def _transform(self, field: Field, rule: _Tree | str) -> Callable[[Any], Any] | None:
        if isinstance(rule, dict):
            return partial(self._texts_inside, rule) if field.kind in (TEXT, LIST) else None
        if rule == DROP or field.kind not in (TEXT, LIST):
            return _nothing
        one = self._transforms[rule]
        return one if field.kind == TEXT else partial(_each, one)

    def _texts_inside(self, tree: _Tree, value: str | list[str]) -> str | list[str]:
        budget = _Budget()
        if isinstance(value, str):
            return self._inside(tree, value, budget)
        return [self._inside(tree, text, budget) for text in value]


def redact(event: Any, steps: tuple[_Step, ...]) -> None:
    """Apply the steps to a strictly decoded event."""
    for block, name, transform in steps:
        holder = getattr(event, block) if block else event
        if holder is not None and (value := getattr(holder, name)) is not None:
            setattr(holder, name, transform(value))


@dataclass(slots=True)
class _Budget:
    """How much of one body has been walked."""

    elements: int = 0
    depth: int = 0  # of lists in lists

    def takes(self, elements: int) -> bool:
        if self.elements + elements > _ELEMENTS_MAX:
            return False
        self.elements += elements
        return True


def _tree(rules: Rules) -> _Tree:
    """Group rules by member; an action on a member holds for all inside it."""
    found: _Tree = {}
    if _SESSION in rules:
        rules = {_CLICKSTREAM_SESSION: rules[_SESSION], **rules}
    for path, action in sorted(rules.items(), key=lambda rule: len(rule[0])):
        place = found
        for name in path[:-1]:
            below = place.setdefault(name, {})
            if isinstance(below, str):
                break
            place = below
        else:
            place[path[-1]] = action
    return found


def _raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _nothing(_: Any) -> None:
    return None


def _each(transform: _Transform, texts: list[str]) -> list[str]:
    return [*map(transform, texts)]


def hashing(key: bytes) -> _Transform:
    """Return a function that hashes a text: HMAC-SHA-256 in hex after `hmac:`.

    A hash is not hashed again by a replay. The key is hashed once (RFC 2104), which costs two thirds of
    `hmac.digest`.
    """
    key = (hashlib.sha256(key).digest() if len(key) > _BLOCK_BYTES else key).ljust(_BLOCK_BYTES, b"\0")
    inner, outer = (hashlib.sha256(bytes(byte ^ pad for byte in key)) for pad in (0x36, 0x5C))

    def hashed(text: str) -> str:
        if not text or (text.startswith(_MARK) and _HASHED.fullmatch(text)):
            return text
        inside, outside = inner.copy(), outer.copy()
        inside.update(text.encode())
        outside.update(inside.digest())
        return _MARK + outside.hexdigest()

    # Ids repeat, so each is hashed once; longer texts would fill the memory.
    cached = lru_cache(_CACHED_TEXTS)(hashed)
    return lambda text: cached(text) if len(text) <= _CACHED_LENGTH_MAX else hashed(text)


def _truncated(text: str) -> str:
    """Keep the /24 of an IPv4 address, the /48 of an IPv6 address, 3 characters of any other text."""
    try:
        if ":" in text and len(text) <= _ADDRESS_LENGTH_MAX:
            return inet_ntop(AF_INET6, inet_pton(AF_INET6, text)[:_IPV6_BYTES] + _IPV6_REST)
        if "." in text and len(text) <= _ADDRESS_LENGTH_MAX:
            inet_pton(AF_INET, text)
            return f"{text.rpartition('.')[0]}.0"
    except (OSError, ValueError):  # no address; not even a C string
        pass
    return text[:_TEXT_KEPT]
