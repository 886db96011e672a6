"""The body of one POST -> its members and required fields, or every fault that makes it invalid.

Invariants: all faults are reported at once, each with its JSON pointer. Required are `event_type`,
`event_id`, `app_id` and a time; the length of ids is limited. Source: docs/webhook.md; the keys and
headers of the clickstream are from Tapcart's documentation.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from schemas.catalog import schema_model
from schemas.catalog.schema_model import ID_BYTES_MAX
from schemas.codec import jsontext, lenient, moment
from schemas.codec.lenient import Leftovers, Members

# msgspec can follow this depth within the recursion limit of every supported Python; Tapcart nests 2 deep.
_DEPTH_MAX = 500

_REQUIRED = ("event_type", "event_id", "app_id")
_OPTIONAL = tuple(name for name in schema_model.IDS if name not in _REQUIRED)


class FieldFault(msgspec.Struct, frozen=True, gc=False):
    """One fault of a body."""

    pointer: str  # JSON pointer (RFC 6901); empty for the whole body
    detail: str  # a sentence for the sender


class NotJson(Exception):  # noqa: N818 - a word of the contract between the parts
    """The body is not JSON."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Invalid(Exception):  # noqa: N818 - a word of the contract between the parts
    """The body is JSON, but not a valid event; holds the faults and the readable fields."""

    def __init__(
        self, faults: tuple[FieldFault, ...], app_id: str | None, event_id: str | None, event_type: str | None
    ) -> None:
        super().__init__("; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults))
        self.faults = faults
        self.app_id = app_id
        self.event_id = event_id
        self.event_type = event_type


def members_of_body(body: bytes, read: Callable[[msgspec.Raw], Members] = lenient.members_of) -> Members:
    """Split a body into members with `read`. Raises: NotJson, Invalid."""
    raw = value_of_body(body)
    if (kind := lenient.kind_of(raw)) != "an object":
        raise _invalid(f"must be a JSON object, not {kind}")
    return read(raw)


def value_of_body(body: bytes) -> msgspec.Raw:
    """Return a body as one JSON value. Raises: NotJson, Invalid."""
    try:
        body.decode()  # msgspec does not check values that stay raw
    except UnicodeDecodeError as error:
        raise NotJson(f"the body is not UTF-8: byte {error.start} cannot be decoded") from None
    if jsontext.is_deeper(body, _DEPTH_MAX):
        raise _invalid(f"must not nest deeper than {_DEPTH_MAX} levels")
    try:
        return _raw_of(body)
    except msgspec.DecodeError:
        return _repaired(body)


def mobile_envelope(members: Members) -> tuple[dict[str, Any], Members, Leftovers]:
    """Return the required fields, the other members, and an invalid `timestamp` as leftover.

    The time is `timestamp`, else `timestamp_iso`. Raises: Invalid.
    """
    faults: list[FieldFault] = []
    left = Leftovers()
    given: dict[str, Any] = {name: _text(members, name, faults) for name in _REQUIRED}
    for name in _OPTIONAL:
        _check_length(f"/{name}", lenient.scalar_text(members.get(name)) or "", faults)
    given["timestamp"] = _milliseconds(members, faults, left)
    if faults:
        raise Invalid(tuple(faults), given["app_id"], given["event_id"], given["event_type"])
    return given, {name: raw for name, raw in members.items() if name not in given}, left


def clickstream_envelope(members: Members, headers: Mapping[str, str]) -> tuple[dict[str, Any], Members]:
    """Return the fields of the envelope, and the other members. Raises: Invalid."""
    faults: list[FieldFault] = []
    event = _text(members, "event", faults)
    event_id = lenient.text_at(members, "mp_metadata", "mp_event_id") or headers.get("eventid") or None
    given = {
        "event": event,
        "event_id": _known(
            "/mp_metadata/mp_event_id", event_id, "is missing, and so is the header eventid", faults
        ),
        "app_id": _known(
            "", headers.get("appid"), "must come with the header appid, which names the app", faults
        ),
        "device_id": headers.get("deviceid") or None,
        "session_id": lenient.text_at(members, "mp_metadata", "mp_session_id"),
    }
    _check_length("", given["device_id"] or "", faults, "the header deviceid ")
    _check_length("/mp_metadata/mp_session_id", given["session_id"] or "", faults)
    if faults:
        raise Invalid(tuple(faults), given["app_id"], given["event_id"], event)
    rest = {name: raw for name, raw in members.items() if name != "event"}
    for header, value in (("eventtype", event), ("eventid", given["event_id"])):
        if headers.get(header, value) != value:  # kept, although its meaning is undocumented
            rest[f"header {header}"] = msgspec.Raw(msgspec.json.encode(headers[header]))
    return given, rest


def _invalid(detail: str) -> Invalid:
    return Invalid((FieldFault("", detail),), None, None, None)


def _repaired(body: bytes) -> msgspec.Raw:
    try:
        return _raw_of(jsontext.without_lone_surrogates(body))
    except msgspec.DecodeError as error:
        raise NotJson(f"the body is not JSON: {error}" if body else "the body is empty") from None


def _text(members: Members, name: str, faults: list[FieldFault]) -> str | None:
    raw = members.get(name)
    if raw is None:
        faults.append(FieldFault(f"/{name}", "is missing"))
    elif (kind := lenient.kind_of(raw)) != "a string":
        faults.append(FieldFault(f"/{name}", f"must be a string, not {kind}"))
    else:
        return _known(f"/{name}", lenient.text_of(raw), "must not be empty", faults)
    return None


def _known(pointer: str, text: str | None, absent: str, faults: list[FieldFault]) -> str | None:
    """Return the text if it is present and short enough."""
    if not text:
        faults.append(FieldFault(pointer, absent))
        return None
    return text if _check_length(pointer, text, faults) else None


def _check_length(pointer: str, text: str, faults: list[FieldFault], subject: str = "") -> bool:
    if len(text.encode()) <= ID_BYTES_MAX:
        return True
    faults.append(FieldFault(pointer, f"{subject}must not be longer than {ID_BYTES_MAX} bytes of UTF-8"))
    return False


def _milliseconds(members: Members, faults: list[FieldFault], left: Leftovers) -> int | None:
    raw = members.get("timestamp")
    kind = "null" if raw is None else lenient.kind_of(raw)
    text = lenient.scalar_text(raw) if kind in ("a number", "a string") else None
    sent = moment.of_number(text.strip()) if text is not None else None
    if kind != "null" and (kind != "a number" or text != str(sent)):
        left.odd.append("timestamp")
    if sent is not None:
        return sent
    iso = moment.of_iso((lenient.scalar_text(members.get("timestamp_iso")) or "").strip())
    if iso is None:
        got = f"{text:.40}" if kind == "a number" else kind
        detail = (
            "is missing" if raw is None else f"must be milliseconds since 1970-01-01T00:00:00Z, not {got}"
        )
        faults.append(FieldFault("/timestamp", f"{detail}, and timestamp_iso is not a time"))
    left.time_member = "timestamp_iso"
    if raw is not None and kind != "null":
        left.extra["timestamp"] = raw
    return iso


_raw_of: Callable[[bytes], msgspec.Raw] = msgspec.json.Decoder(msgspec.Raw).decode
