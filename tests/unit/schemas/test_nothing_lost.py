"""Columns and `extra` together hold everything that was sent, whatever the JSON.

The check is independent of the encoder: fastavro reads the record, and paths of `extra` are split here.
"""

import json
import re
from decimal import Decimal
from typing import Any

from hypothesis import example, given

from schemas.catalog.catalog import Catalog
from schemas.codec.events import EventDecoder
from tests.unit.schemas import avro
from tests.unit.schemas.bodies import ISO_MS, Number, events, parse

DECODER = EventDecoder(Catalog.load())
OURS = ("received_at", "extra")


@given(body=events())
@example(
    body=b'{"event_type":"A","event_id":"e","app_id":"a","device_id":"d","timestamp":1,"event_properties":{"a":'
    + b"[" * 80
    + b"]" * 80
    + b',"b":1}}'
)
@example(
    body=b'{"event_type":"A","event_id":"e","app_id":"a","device_id":"d","timestamp":"1","x":"\\ud83d","a.b":{'
    + b",".join(b'"%d":1' % number for number in range(1000))
    + b"}}"
)
def test_nothing_sent_is_missing(body: bytes) -> None:
    """Every value sent is in a column or in `extra`, and nothing else is."""
    event = DECODER.decode(body, {})

    record = avro.read(event.release, event.encode(7))
    kept = put_together(record)
    sent = spelled_out(parse(body))

    assert record["received_at"] == 7
    if sent.get("timestamp") is None:
        assert kept.pop("timestamp") == ISO_MS
    assert_same(sent, kept, "")


def put_together(record: dict[str, Any]) -> dict[str, Any]:
    """Return the JSON object that a record was made of, but for nulls and for numbers that became text."""
    found: dict[str, Any] = {name: value for name, value in record.items() if name not in OURS}
    if "raw" in found:
        found["event_properties"] = parse(found["raw"]) if found["raw"] is not None else None
        del found["raw"]
    extra = parse(record["extra"] or "{}")
    found |= extra.pop("%", {})  # a heavy body as a whole
    if "timestamp" in extra:
        assert found.pop("timestamp") == ISO_MS
    for path, value in extra.items():
        *blocks, name = (re.sub("%2E", ".", step).replace("%25", "%") for step in path.split("."))
        place = found
        for block in blocks:
            place = place[block]
        assert place.get(name) is None or not any(place[name].values())
        place[name] = value
    return found


def spelled_out(value: Any) -> Any:
    """Return the value with lone surrogates as the six characters of their escapes."""
    if isinstance(value, dict):
        return {spelled_out(name): spelled_out(part) for name, part in value.items()}
    if isinstance(value, list):
        return [spelled_out(part) for part in value]
    if isinstance(value, str) and not isinstance(value, Number):
        return value.encode("utf-8", "backslashreplace").decode()
    return value


def assert_same(sent: Any, kept: Any, path: str) -> None:
    """Assert that `kept` equals the sent value: null is absent, a number may be its text."""
    if isinstance(sent, dict) and isinstance(kept, dict):
        for name in sent | kept:
            assert_same(sent.get(name), kept.get(name), f"{path}/{name}")
    elif isinstance(sent, list) and isinstance(kept, list):
        assert len(sent) == len(kept), path
        for index, (one, other) in enumerate(zip(sent, kept, strict=True)):
            assert_same(one, other, f"{path}/{index}")
    elif sent is None and isinstance(kept, dict):
        assert not any(value is not None for value in kept.values()), path
    elif isinstance(sent, Number) and isinstance(kept, int):
        assert Decimal(sent) == kept, path
    elif path == "/timestamp" and isinstance(sent, str) and isinstance(kept, int):
        assert Decimal(sent.strip()) == kept, path
    elif path == "/device_id" and kept == "":
        assert not isinstance(sent, (str, bool)) or sent == "", path
    elif isinstance(sent, bool) and isinstance(kept, str):
        assert json.dumps(sent) == kept, path
    else:
        assert sent == kept, path
        assert isinstance(sent, Number) or type(sent) is type(kept), path
