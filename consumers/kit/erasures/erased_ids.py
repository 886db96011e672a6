"""Tombstones -> whether an event is about somebody erased. Pure.

A tombstone is a hash (HMAC-SHA-256) of an id, and the moment of its erasure. It stops events of before that
moment: those whose own time or time of receipt is not later. An event without a time of its own may be a
retry, so it is stopped for `RETRIED_MS` longer. Later events of the same id are a new matter.

Invariants: no id can be read from a tombstone; without tombstones nothing is decoded. An id is found wherever
an event holds it: see `words`. One thread adds tombstones; any may ask.
"""

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from consumers.kit.erasures import words

DEVICE, SHOPPER, SESSION = "device_id", "shopify_user_id", "session_id"
# By kind of id, the columns that hold it.
ID_COLUMNS = {
    DEVICE: ("device_id", "device_properties.device_id"),
    SHOPPER: ("shopify_properties.shopify_user_id",),
    SESSION: ("session_id", "session_properties.session_id"),
}
RETRIED_MS = 600_000  # Tapcart retries for 5 minutes

_CACHED_HASHES = 65_536
_NEVER = -(2**63)  # before any moment


@dataclass(frozen=True, slots=True)
class Tombstone:
    """One erased id."""

    digest: str  # in hex
    erased_at_ms: int
    size: int  # words of the id; 0: a short id, which is compared with the columns of its kind
    app_id: str = ""  # empty: of every app


class IdHashes:
    """Hashes of ids by one key."""

    def __init__(self, key: bytes) -> None:
        self.key_id = hmac.digest(key, b"tapline erasures", "sha256").hex()[:16]  # tells keys apart
        self._of = lru_cache(_CACHED_HASHES)(lambda text: hmac.digest(key, text.encode(), "sha256").hex())

    def tombstone(self, kind: str, text: str, erased_at_ms: int, app_id: str) -> Tombstone:
        """Return the tombstone of an id."""
        found = words.of_id(text)
        digest = self.of_words(" ".join(found)) if found else self.of_short(kind, text)
        return Tombstone(digest, erased_at_ms, len(found), app_id)

    def of_words(self, joined: str) -> str:
        """Return the hash of an id by its words."""
        return self._of(joined)

    def of_short(self, kind: str, text: str) -> str:
        """Return the hash of an id that is compared as a whole."""
        return self._of(f"{kind}\n{text}")


class ErasedIds:
    """The tombstones known so far."""

    def __init__(self, hashes: IdHashes | None = None) -> None:
        self.newest_ms = _NEVER  # no erasure is later
        self._hashes = hashes or IdHashes(b"")
        self._erased: dict[str, dict[str, int]] = {}  # digest -> app_id -> moment of the erasure
        self._sizes: frozenset[int] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether nobody is erased."""
        return self.newest_ms == _NEVER

    def add(self, tombstone: Tombstone) -> None:
        """Add a tombstone; of one id and app, the latest counts."""
        apps = self._erased.get(tombstone.digest, {})
        at_ms = max(tombstone.erased_at_ms, apps.get(tombstone.app_id, _NEVER))
        self._erased[tombstone.digest] = {**apps, tombstone.app_id: at_ms}
        self._sizes |= {tombstone.size}
        self.newest_ms = max(self.newest_ms, at_ms)  # last: another thread reads it first

    def stops(self, event: Mapping[str, Any]) -> bool:
        """Return whether an event (the fields of its Avro record) is of somebody erased."""
        at_ms = moment_ms(event.get("timestamp"), event.get("received_at") or 0)
        return not self.is_empty and at_ms <= self.newest_ms and at_ms <= self._last_erasure_ms(event)

    def stops_body(self, body: bytes, received_at_ms: int, app_id: str) -> bool:
        """Return whether a rejected body is of somebody erased."""
        return self.stops({"app_id": app_id, "received_at": received_at_ms, "body": body})

    @property
    def sizes(self) -> frozenset[int]:
        """The numbers of words that erased ids have; 0: some are short."""
        return self._sizes

    def of_words(self, joined: str) -> Mapping[str, int]:
        """Return the apps in which the id of these words is erased, each with the moment."""
        return self._erased.get(self._hashes.of_words(joined), {})

    def of_short(self, kind: str, text: str) -> Mapping[str, int]:
        """Return the same for a short id."""
        return self._erased.get(self._hashes.of_short(kind, text), {})

    def _last_erasure_ms(self, event: Mapping[str, Any]) -> int:
        """Return when somebody of the event was erased last; before any moment, if nobody was."""
        app_id = event.get("app_id") or ""
        return max((self._erased_at_ms(digest, app_id) for digest in self._digests(event)), default=_NEVER)

    def _erased_at_ms(self, digest: str, app_id: str) -> int:
        apps = self._erased.get(digest)
        if apps is None:
            return _NEVER
        if not app_id:  # of an unknown app
            return max(apps.values())
        return max(apps.get("", _NEVER), apps.get(app_id, _NEVER))

    def _digests(self, event: Mapping[str, Any]) -> Iterator[str]:
        sizes = self._sizes - {0}
        if sizes:
            found = [*_texts(event)]
            yield from map(self._hashes.of_words, words.in_text("\n".join(found), sizes))
            for text in found:
                if text.startswith(words.KAFKA_VALUE):
                    yield from map(self._hashes.of_words, words.in_kafka_value(text))
        if 0 in self._sizes:
            for kind, columns in ID_COLUMNS.items():
                for text in filter(None, (_at(event, column) for column in columns)):
                    yield self._hashes.of_short(kind, text)


def moment_ms(timestamp_ms: int | None, received_at_ms: int) -> int:
    """Return the moment that must be after an erasure for the event to stay."""
    return received_at_ms - RETRIED_MS if timestamp_ms is None else min(timestamp_ms, received_at_ms)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, bytes):
        yield value.decode("latin-1")
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _texts(part)
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)


def _at(event: Mapping[str, Any], column: str) -> str:
    block, _, name = column.rpartition(".")
    value = ((event.get(block) or {}) if block else event).get(name)
    return value if isinstance(value, str) else ""
