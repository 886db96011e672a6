"""Variants of AppOpened's sample, and their decoded events, read by fastavro."""

import json
from typing import Any

import pytest

from schemas.codec.events import Decoded, EventDecoder, Invalid
from tests.support.process import SAMPLES
from tests.unit.schemas import avro

APP_OPENED = json.loads((SAMPLES / "AppOpened.json").read_bytes())


def body_of(**changes: Any) -> bytes:
    """Return AppOpened's sample with changed top-level members; Ellipsis removes one."""
    event = {name: value for name, value in (APP_OPENED | changes).items() if value is not ...}
    return json.dumps(event).encode()


def block_of(name: str, **changes: Any) -> dict[str, Any]:
    """Return a block of AppOpened's sample with changed members."""
    return {name: APP_OPENED[name] | changes}


def record_of(event: Decoded) -> dict[str, Any]:
    """Return the event's record as fastavro reads it, `extra` parsed."""
    record = avro.read(event.release, event.encode(1))
    return record | {"extra": json.loads(record["extra"] or "{}")}


def refusal(decoder: EventDecoder, body: bytes, **headers: str) -> Invalid:
    """Return the refusal of `body`."""
    with pytest.raises(Invalid) as caught:
        decoder.decode(body, headers)
    return caught.value
