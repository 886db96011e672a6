"""The body of one POST -> its members and guaranteed fields; or every fault for which it is refused.

Invariants: all faults are told at once, each with its JSON pointer. Only the fields that Tapcart's newer
guide guarantees are strict. Source: DESIGN.md, "HTTP answers"; the keys and headers of the clickstream are
those of Tapcart's documentation.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from schemas.catalog import schema_model
from schemas.codec import jsontext, lenient
from schemas.codec.compiler import TYPES
from schemas.codec.lenient import Members

# Within what every supported Python's recursion limit lets msgspec follow; Tapcart nests 2 deep.
_DEPTH_MAX = 500

_TEXTS = ("event_type", "event_id", "app_id", "device_id")


class Fault(msgspec.Struct, frozen=True, gc=False):
    """One thing that is wrong with a body."""

    pointer: str  # JSON pointer (RFC 6901); empty for the whole body
    detail: str  # a sentence for the sender


class NotJson(Exception):  # noqa: N818 - a word of the contract between the parts
    """The body is no JSON text."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Invalid(Exception):  # noqa: N818 - a word of the contract between the parts
    """The body is JSON, but no event; and what could be read of it."""

    def __init__(
        self, faults: tuple[Fault, ...], app_id: str | None, event_id: str | None, event_type: str | None
    ) -> None:
        super().__init__("; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults))
        self.faults = faults
        self.app_id = app_id
        self.event_id = event_id
        self.event_type = event_type


def members_of_body(body: bytes) -> Members:
    """Return the members of the JSON object that `body` is. Raises: NotJson, Invalid."""
    try:
        body.decode()  # msgspec does not look into what stays raw
    except UnicodeDecodeError as error:
        raise NotJson(f"the body is not UTF-8: byte {error.start} cannot be read") from None
    if jsontext.is_deeper(body, _DEPTH_MAX):
        raise _invalid(f"must not nest deeper than {_DEPTH_MAX} levels")
    try:
        raw = _raw_of(body)
    except msgspec.DecodeError:
        raw = _repaired(body)
    if (kind := lenient.kind_of(raw)) != "an object":
        raise _invalid(f"must be a JSON object, not {kind}")
    return lenient.members_of(raw)


def mobile_envelope(members: Members) -> tuple[dict[str, Any], Members]:
    """Return the guaranteed fields, and the members that are none of them. Raises: Invalid."""
    faults: list[Fault] = []
    given: dict[str, Any] = {name: _text(members, name, faults) for name in _TEXTS}
    given["timestamp"] = _milliseconds(members, "timestamp", faults)
    if faults:
        raise Invalid(tuple(faults), given["app_id"], given["event_id"], given["event_type"])
    return given, {name: raw for name, raw in members.items() if name not in given}


def clickstream_envelope(members: Members, headers: Mapping[str, str]) -> tuple[dict[str, Any], Members]:
    """Return the fields that are looked up here, and the members that are none of them. Raises: Invalid."""
    faults: list[Fault] = []
    app_id = headers.get("appid") or None
    event_id = lenient.text_at(members, "mp_metadata", "mp_event_id") or headers.get("eventid") or None
    event = _text(members, "event", faults)
    if event_id is None:
        faults.append(Fault("/mp_metadata/mp_event_id", "is missing, and so is the header eventid"))
    if app_id is None:
        faults.append(Fault("", "must come with the header appid, which names the app"))
    if faults:
        raise Invalid(tuple(faults), app_id, event_id, event)
    given = {
        "event": event,
        "event_id": event_id,
        "app_id": app_id,
        "device_id": headers.get("deviceid") or None,
        "session_id": lenient.text_at(members, "mp_metadata", "mp_session_id"),
    }
    rest = {name: raw for name, raw in members.items() if name != "event"}
    for header, value in (("eventtype", event), ("eventid", event_id)):
        if headers.get(header, value) != value:  # kept, though what it means is not documented
            rest[f"header {header}"] = msgspec.Raw(msgspec.json.encode(headers[header]))
    return given, rest


def _invalid(detail: str) -> Invalid:
    return Invalid((Fault("", detail),), None, None, None)


def _repaired(body: bytes) -> msgspec.Raw:
    try:
        return _raw_of(jsontext.without_lone_surrogates(body))
    except msgspec.DecodeError as error:
        raise NotJson(f"the body is not JSON: {error}" if body else "the body is empty") from None


def _text(members: Members, name: str, faults: list[Fault]) -> str | None:
    raw = members.get(name)
    if raw is None:
        faults.append(Fault(f"/{name}", "is missing"))
    elif (kind := lenient.kind_of(raw)) != "a string":
        faults.append(Fault(f"/{name}", f"must be a string, not {kind}"))
    elif text := lenient.text_of(raw):
        return text
    else:
        faults.append(Fault(f"/{name}", "must not be empty"))
    return None


def _milliseconds(members: Members, name: str, faults: list[Fault]) -> int | None:
    raw = members.get(name)
    if raw is None:
        faults.append(Fault(f"/{name}", "is missing"))
        return None
    try:
        return _integer_of(raw)
    except msgspec.DecodeError:
        kind = lenient.kind_of(raw)
        got = bytes(raw)[:40].decode() if kind == "a number" else kind
        faults.append(
            Fault(f"/{name}", f"must be milliseconds since 1970-01-01T00:00:00Z, a JSON integer, not {got}")
        )
        return None


_raw_of: Callable[[bytes], msgspec.Raw] = msgspec.json.Decoder(msgspec.Raw).decode
_integer_of: Callable[[msgspec.Raw], int] = msgspec.json.Decoder(TYPES[schema_model.INTEGER]).decode
