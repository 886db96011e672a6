"""Ten thousand generated events of all types, and the reading of each that any client must give.

Invariant: the expected reading comes from the body and the released file alone, not from our decoder or
encoder.
"""

import asyncio
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any
from urllib.parse import urlsplit

from deploy.demo.generator import Plan, generate
from deploy.demo.samples import samples
from schemas.catalog.catalog import Catalog

COUNT = 10_000
TYPES = frozenset(release.name for release in Catalog.load().releases if release.family == "mobile")
# A day of the year 2026: generated events are the same in every run.
_DAY_MS, _START_MS = 86_400_000, 1_777_593_600_000
_CONNECTIONS = 64
_CATALOG = Catalog.load()
_MOMENTS = frozenset({"received_at", "timestamp", "session_start_time"})

Event = dict[str, Any]


@dataclass(frozen=True)
class Reading:
    """A client's reading of one record."""

    record: str  # the Avro record's name
    fields: Event  # by name; moments in milliseconds since 1970, JSON texts parsed


def bodies() -> list[bytes]:
    """Return the bodies: the samples, and shoppers' events, some of them with new and odd fields."""
    plan = Plan(_START_MS, _START_MS + 2 * _DAY_MS, seed=7, events_per_day=COUNT)
    posts = (post for post in generate(plan) if post.kind in ("event", "drift"))
    return [post.body for post in islice(chain(samples(), posts), COUNT)]


async def post(url: str, events: Sequence[bytes]) -> None:
    """Post events to an ingest URL, over a few connections; each must be answered 200."""
    where = urlsplit(url)
    waiting = iter(events)

    async def work() -> None:
        reader, writer = await asyncio.open_connection(where.hostname, where.port)
        for body in waiting:
            head = (
                f"POST {where.path} HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(head.encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(answer.partition("content-length:")[2].split()[0])
            said = await reader.readexactly(length)
            assert answer.startswith("http/1.1 200"), said
        writer.close()
        await writer.wait_closed()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(_CONNECTIONS):
            tasks.create_task(work())


def expected(body: bytes) -> Reading:
    """Return the reading that a client must give of the event in `body`."""
    event: Event = json.loads(body)
    release = _CATALOG.newest(event["event_type"]) or _CATALOG.unmodelled
    fields: Event = {}
    extra: Event = {}
    rest = dict(event)
    for field in release.schema["fields"]:
        name, avro = field["name"], field["type"]
        if name in ("received_at", "extra"):
            continue
        given = rest.pop(field.get("json", name), None)
        if "json" in field:
            fields[name] = given
        elif isinstance(avro, dict) and avro["type"] == "record":
            known = {inner["name"]: inner["type"] for inner in avro["fields"]}
            block = given or {}
            fields[name] = {key: _kept(block.get(key), known[key], f"{name}.{key}", extra) for key in known}
            extra |= {f"{name}.{key}": value for key, value in block.items() if key not in known}
        else:
            fields[name] = _kept(given, avro, name, extra)
    extra |= rest
    return Reading(release.name, fields | {"extra": extra or None})


def reading(record: str, fields: Event) -> Reading:
    """Return a client's reading in comparable form; moments may be ISO text."""
    told = {name: _moments(name, value) for name, value in fields.items()}
    received_at = told.pop("received_at")
    assert isinstance(received_at, int), told
    assert received_at > _START_MS, told
    for name in ("extra", "raw"):
        if isinstance(told.get(name), str):
            told[name] = json.loads(told[name])
    return Reading(record, told)


def plain(value: Any) -> Any:
    """Return the value with moments in milliseconds."""
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return round(value.timestamp() * 1000) if isinstance(value, datetime) else value


def differences(
    events: Sequence[bytes],
    readings: Sequence[Reading],
    *,
    has_null_lists: bool = True,
    again: int = 0,
) -> Iterator[str]:
    """Yield the differences: nothing if every event was read and is equal field by field.

    `has_null_lists`: whether the client distinguishes an empty list from none. `again`: how many records of
    the topic repeat an event, as at-least-once delivery allows.
    """
    wanted = {one.fields["event_id"]: one for one in map(expected, events)}
    if not has_null_lists:
        wanted = {event_id: _without_empty(one) for event_id, one in wanted.items()}
        readings = [*map(_without_empty, readings)]
    if len(wanted) != len(events):
        yield f"{len(events)} events have {len(wanted)} ids"
    missing, repeated = dict(wanted), []
    for one in readings:
        event_id = one.fields["event_id"]
        want = wanted.get(event_id)
        if want is None:
            yield f"{event_id}: was never sent"
            continue
        if missing.pop(event_id, None) is None:
            repeated.append(event_id)
        if (one.record, _text(one.fields)) != (want.record, _text(want.fields)):
            yield f"{event_id}: {one.record}, not {want.record}: {', '.join(_differing(one, want))}"
    if len(repeated) != again:
        yield from (f"{event_id}: read again" for event_id in repeated)
    yield from (f"{event_id}: not read" for event_id in missing)


def _without_empty(one: Reading) -> Reading:
    """Return the reading with null in place of empty lists."""
    fields = {
        name: {inner: part if part != [] else None for inner, part in value.items()}
        if isinstance(value, dict)
        else value
        for name, value in one.fields.items()
    }
    return Reading(one.record, fields)


def _moments(name: str, value: Any) -> Any:
    """Return a field with moments in milliseconds since 1970."""
    if isinstance(value, dict):
        return {inner: _moments(inner, part) for inner, part in value.items()}
    if name not in _MOMENTS or not isinstance(value, str):
        return value
    moment = datetime.fromisoformat(value)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _differing(one: Reading, want: Reading) -> Iterator[str]:
    for name in sorted(one.fields.keys() | want.fields.keys()):
        was, should_be = _text(one.fields.get(name, "absent")), _text(want.fields.get(name, "absent"))
        if was != should_be:
            yield f"{name}: {was}, not {should_be}"


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True)  # in Python 1 == 1.0 == True


def _kept(value: Any, avro: Any, path: str, extra: Event) -> Any:
    """Return the field's part of a value; a value that does not fit goes to `extra`."""
    if value is None and avro == "string":
        return ""  # device_id, which an event of the shop's server lacks
    kind = avro[1] if isinstance(avro, list) else avro
    kind = kind["type"] if isinstance(kind, dict) else kind
    if kind == "string" and isinstance(value, bool | int | float):
        return json.dumps(value)
    fits = {"string": str, "boolean": bool, "long": int, "array": list}
    if value is None or isinstance(value, fits[kind]):
        return value
    extra[path] = value
    return None
