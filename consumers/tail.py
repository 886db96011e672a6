"""`python -m consumers.tail`: prints events as they arrive, one per line, like `tail -f`.

`[--type TYPE]... [--app APP] [--since 1h] [--fields a,b.c] [--json]`; coloured on a terminal, plain in a
pipe.
Invariants: joins no group and commits nothing; no text of an event reaches the terminal unescaped. While
Kafka is unavailable it waits and says so. Exit status: 0 if its reader is gone; all else: see
`runtime.command`.
"""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Message, TopicPartition
from rich.console import Console
from rich.text import Text

from consumers.kit import client, offsets
from consumers.kit.decode import InvalidRecordError, fields_of, header, sound
from consumers.kit.erasures.erased_ids import ErasedIds
from consumers.kit.erasures.follower import ErasureFollower
from consumers.kit.errors import TransientError
from consumers.kit.event_filter import EventFilter, event_filter, typed
from consumers.kit.record import Place
from consumers.kit.settings import Settings
from runtime import command
from runtime.environment import SettingsError
from runtime.kafka import record_headers, topics
from runtime.kafka.diagnosis import Diagnosis, read_rights
from runtime.printable import printable
from schemas.catalog import schema_model
from schemas.catalog.catalog import Catalog, CatalogError
from schemas.catalog.schema_reloader import SchemaReloader, lenient_reloader
from schemas.catalog.wire_ids import release_of

if TYPE_CHECKING:
    from consumers.kit.record import Record

_GROUP = "tapline.tail"

_REQUEST_SECONDS_MAX = 2.0
_FOLLOW_SECONDS_MAX = 0.5  # events wait meanwhile
_POLL_SECONDS_MAX = 0.2
_RECORDS_MAX = 500
_LINE_CHARS_MAX = 2_000
_GROUP = "tapline.tail"  # never joined
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_ENVELOPE = frozenset(("event_type", "event_id", "app_id", "device_id", "session_id", "timestamp"))
_TIMES = frozenset(("timestamp_iso", "received_at"))
_STYLES = ("cyan", "green", "yellow", "magenta", "blue", "bright_cyan", "bright_green", "bright_magenta")


@dataclass(frozen=True, slots=True)
class _Start:
    """Where to begin, and what explains why that fails."""

    since: datetime | None
    diagnosis: Diagnosis


def main(arguments: Sequence[str]) -> int:
    """Print events until stopped; return the exit status. Raises: SettingsError, CatalogError."""
    options = _options(arguments)
    settings = Settings.from_env(os.environ)
    reloader = lenient_reloader(settings.schemas_dir, settings.schema_registry)
    chosen = event_filter(reloader.catalog, options.type, options.app)
    _check_fields(reloader.catalog, chosen, options.fields)
    consumer = client.consumer({**settings.kafka, "log_level": "0"}, _GROUP)
    erasures = ErasureFollower(settings.kafka, _GROUP, settings.erasure_key)
    start = _Start(options.since, Diagnosis(settings.kafka, read_rights((topics.EVENTS,), _GROUP)))
    try:
        for some in _events(consumer, reloader, chosen, start):
            erased = _current(erasures)
            for event, record in some:
                if not erased.stops(event):
                    _print(event, record, options)
            sys.stdout.flush()
    except BrokenPipeError:
        command.discard_output()
    return 0


def _events(
    consumer: Consumer, reloader: SchemaReloader, chosen: EventFilter, start: _Start
) -> Iterator[list[tuple[dict[str, Any], Message]]]:
    places = _begin(consumer, start)
    is_away = False
    while True:
        found = consumer.consume(_RECORDS_MAX, _POLL_SECONDS_MAX)
        for error in filter(None, (one.error() for one in found)):
            if not is_away:
                _say(f"{start.diagnosis.sentence(error) or f'Kafka: {error.str()}.'} Waiting.")
            is_away = True
        records = client.readable(one for one in found if one.error() is None)
        is_away = is_away and not records
        if reloader.is_due:
            _reload(reloader)
            places = _follow(consumer, places)
        records.sort(key=lambda one: one.timestamp()[1])
        read = ((_event(reloader.catalog, chosen, record), record) for record in records)
        if some := [(event, record) for event, record in read if event is not None]:
            yield some


def _current(erasures: ErasureFollower) -> ErasedIds:
    """Return who is erased; waits for Kafka."""
    is_away = False
    while True:
        try:
            return erasures.current()
        except TransientError as error:
            if not is_away:
                _say(f"{error}. Waiting.")
            is_away = True
        time.sleep(_POLL_SECONDS_MAX)


def _begin(consumer: Consumer, start: _Start) -> frozenset[Place]:
    """Assign every partition at its start offset and return them; waits for Kafka and for the topic."""
    said, since = "", start.since
    while True:
        try:
            places = offsets.places(consumer, (topics.EVENTS,), _REQUEST_SECONDS_MAX)
            if since is None:
                begun = offsets.ends(consumer, places, _REQUEST_SECONDS_MAX)
            else:
                since_ms = round(since.timestamp() * 1000)
                begun = offsets.since(consumer, places, since_ms, _REQUEST_SECONDS_MAX)
            consumer.assign([TopicPartition(*place, offset) for place, offset in begun.items()])
            return frozenset(places)
        except KafkaException as error:
            fault = error.args[0]
            why = start.diagnosis.sentence(fault) or f"Kafka: {fault.str()}."
        if said != why:
            _say(f"{why} Waiting.")
        said = why
        time.sleep(_POLL_SECONDS_MAX)


def _follow(consumer: Consumer, known: frozenset[Place]) -> frozenset[Place]:
    """Also read partitions added to the topic meanwhile; return all partitions."""
    try:
        places = frozenset(offsets.places(consumer, (topics.EVENTS,), _FOLLOW_SECONDS_MAX))
    except KafkaException:
        return known  # reported elsewhere
    if new := places - known:
        consumer.incremental_assign([TopicPartition(*place, OFFSET_BEGINNING) for place in sorted(new)])
    return places | known


def _reload(reloader: SchemaReloader) -> None:
    try:
        reloader.reload()
    except CatalogError as error:
        _say(f"keeping the schemas in use: {error}")


def _event(catalog: Catalog, chosen: EventFilter, message: Message) -> dict[str, Any] | None:
    record = cast("Record", message)
    if not chosen.admits(record):
        return None
    try:
        value = sound(record.value(), header(record, record_headers.CRC32))
        release = release_of(catalog, value, record.headers())
        if release is None:
            raise InvalidRecordError("unknown_schema", "its schema is unknown")  # noqa: TRY301
        if release.name == catalog.quarantine.name:
            raise InvalidRecordError("wrong_topic", "it belongs in the quarantine topic")  # noqa: TRY301
        event: dict[str, Any] | None = chosen.event(*typed(catalog, release, fields_of(release, value)))
    except InvalidRecordError as error:
        _say(f"{record.topic()}/{record.partition()}/{record.offset()}: {error.detail}")
        return None
    return event


def _print(event: dict[str, Any], record: Message, options: argparse.Namespace) -> None:
    said = _flat(event)
    if options.fields:
        said = {path: said.get(path) for path in options.fields}
    if options.json:
        print(printable(json.dumps(said if options.fields else event, ensure_ascii=False), None))
        return
    at = _time(record.timestamp()[1])
    name = printable(event.get("event_type") or event.get("event"))
    app, device = (printable(event.get(part) or "") for part in ("app_id", "device_id"))
    if not options.fields:
        said = {path: value for path, value in said.items() if path.partition(".")[0] in _shown(event)}
    rest = " ".join(f"{path}={printable(_text(value), _LINE_CHARS_MAX)}" for path, value in said.items())
    if not sys.stdout.isatty():
        print(f"{at} {name} {app} {device} {rest}".rstrip())
        return
    style = _STYLES[sum(name.encode()) % len(_STYLES)]
    parts = ((at, "dim"), (f"{name:<24}", style), (app, "bold"), (device, "dim"), rest)
    line = Text(" ").join(Text.assemble(part) for part in parts)
    Console().print(line, no_wrap=True, overflow="ellipsis", crop=True)


def _time(at_ms: int) -> str:
    try:
        return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    except (ValueError, OverflowError, OSError):  # Kafka accepts any timestamp from a producer
        return f"{at_ms} ms"


def _shown(event: Mapping[str, Any]) -> frozenset[str]:
    """Return the members that a line shows by default: those that vary between events."""
    blocks = frozenset(name for name, value in event.items() if isinstance(value, dict))
    return (frozenset(event) - blocks - _ENVELOPE - _TIMES) | {"event_properties"}


def _flat(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the non-empty values by path."""
    said: dict[str, Any] = {}
    for name, value in event.items():
        if isinstance(value, dict):
            said |= {f"{name}.{inner}": part for inner, part in value.items()}
        else:
            said[name] = value
    return {path: value for path, value in said.items() if value not in (None, "", [])}


def _text(value: Any) -> str:
    is_word = isinstance(value, str) and value and " " not in value
    return str(value) if is_word else json.dumps(value, ensure_ascii=False)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tapline tail", description="Print events as they arrive.")
    parser.add_argument("--type", action="append", help="only events of this type; may be repeated")
    parser.add_argument("--app", metavar="APP_ID", help="only events of this app")
    parser.add_argument("--since", type=_moment, help="start at: 90s, 30m, 1h, 2d ago, or a date")
    parser.add_argument(
        "--fields", type=_paths, default=(), help="show only these: event_id,device_properties.os"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object per event")
    return parser.parse_args(arguments)


def _moment(text: str) -> datetime:
    try:
        if found := re.fullmatch(r"(\d{1,6})([smhd])", text):
            return datetime.now(UTC) - timedelta(**{_UNITS[found[2]]: int(found[1])})
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is neither like 90s, 30m, 1h, 2d nor a date") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _paths(text: str) -> tuple[str, ...]:
    return tuple(path.strip() for path in text.split(",") if path.strip())


def _check_fields(catalog: Catalog, chosen: EventFilter, paths: Sequence[str]) -> None:
    """Check that each field exists in some type. Raises: SettingsError."""
    releases = [one for one in catalog.newest_releases() if not chosen.types or one.name in chosen.types]
    known = {path for release in releases for path in schema_model.leaves(release.schema)}
    if strange := [path for path in paths if path not in known]:
        raise SettingsError(f"no field {', '.join(strange)}; there are {', '.join(sorted(known))}")


def _say(line: str) -> None:
    sys.stderr.write(f"tail: {printable(line, _LINE_CHARS_MAX)}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    command.main("tail", main)
