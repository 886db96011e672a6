"""The 14 documented event types: their samples take the fast path, and every field has its own column."""

import json
from pathlib import Path

import pytest

from schemas.catalog.catalog import Catalog
from schemas.codec.events import EventDecoder
from tests.support.process import SAMPLES
from tests.unit.schemas import avro

FILES = sorted(SAMPLES.glob("*.json"))


def test_every_event_type_has_a_sample(catalog: Catalog) -> None:
    """No released event type is left out of these tests."""
    released = {release.name for release in catalog.releases if release.family == "mobile"}

    assert {file.stem for file in FILES} == released
    assert len(released) == 14


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_samples_take_the_fast_path(decoder: EventDecoder, file: Path) -> None:
    """The strict decoder accepts Tapcart's documented samples."""
    body = file.read_bytes()

    decoder._strict(body)
    event = decoder.decode(body, {})

    assert (event.extra, event.odd, event.unknown) == (None, (), ())
    assert event.release.name == event.event_type == file.stem
    assert event.schema_id == event.release.schema_id


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_field_of_a_sample_is_in_its_column(decoder: EventDecoder, file: Path) -> None:
    """The record holds each value under its path, unchanged; missing ones are null."""
    sent = json.loads(file.read_bytes())
    event = decoder.decode(file.read_bytes(), {})

    record = avro.read(event.release, event.encode(1_760_011_205_999))

    for name, value in sent.items():
        for inner, part in value.items() if isinstance(value, dict) else ():
            assert record[name][inner] == part
        assert isinstance(value, dict) or record[name] == value
    assert record.pop("received_at") == 1_760_011_205_999
    assert _filled(record) == _filled(sent)


def _filled(event: dict[str, object]) -> set[tuple[str, ...]]:
    paths: set[tuple[str, ...]] = set()
    for name, value in event.items():
        if isinstance(value, dict):
            paths |= {(name, inner) for inner, part in value.items() if part is not None}
        elif value is not None:
            paths.add((name,))
    return paths
