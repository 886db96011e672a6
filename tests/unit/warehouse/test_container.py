"""Containers built without decoding are valid for fastavro's reader."""

import io
from typing import Any

import fastavro
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.warehouse.load.container import container, format_of, place_of
from schemas.catalog.wire import HEADER_BYTES
from schemas.codec.varint import long
from tests.support.warehouse import CATALOG, NOW_MS, SAMPLES, body, decoded

PLACES = st.tuples(
    st.integers(0, (1 << 31) - 1), st.integers(-1, 1 << 20), st.integers(-1, 1 << 60), st.integers(0, 1 << 45)
)


def read(data: bytes) -> list[dict[str, Any]]:
    """Return a container's rows by fastavro."""
    return list(fastavro.reader(io.BytesIO(data)))  # type: ignore[arg-type]


def head(place: tuple[int, int, int, int]) -> bytes:
    """Return the encoding of log, partition, offset and time."""
    return b"".join(map(long, place))


@pytest.mark.parametrize("name", SAMPLES)
def test_rows_are_what_was_sent(name: str) -> None:
    """Fastavro reads the four numbers and every field of the value."""
    event = decoded(body(name))
    value = event.encode(NOW_MS)
    form = format_of(event.release)
    [row] = read(container(form, [value[HEADER_BYTES:], head((2, 3, 4, NOW_MS))]))
    alone = fastavro.schemaless_reader(io.BytesIO(value[HEADER_BYTES:]), event.release.schema, None)

    assert isinstance(alone, dict)
    assert {key: row[key] for key in alone} == alone
    assert (row["_log"], row["_partition"], row["_offset"]) == (2, 3, 4)
    assert row["_appended_at"].timestamp() * 1000 == NOW_MS


@given(st.lists(PLACES, max_size=50))
def test_any_number_of_rows_at_any_place(places: list[tuple[int, int, int, int]]) -> None:
    """Block lengths are correct for zero, one and many rows."""
    event = decoded(body())
    value = event.encode(NOW_MS)[HEADER_BYTES:]
    parts = [part for place in places for part in (value, head(place))]
    rows = read(container(format_of(event.release), parts))

    assert [(row["_log"], row["_partition"], row["_offset"]) for row in rows] == [
        place[:3] for place in places
    ]


@given(PLACES)
def test_place_is_read_back(place: tuple[int, int, int, int]) -> None:
    """A row's head holds its place in Kafka."""
    assert place_of(head(place)) == place


@pytest.mark.parametrize("release", CATALOG.releases, ids=lambda release: release.schema_id)
def test_columns_are_paths_of_the_schema(release: Any) -> None:
    """Blocks become dotted names in schema order, after the place."""
    columns = format_of(release).columns

    assert columns[:4] == ("_log", "_partition", "_offset", "_appended_at")
    assert len(set(columns)) == len(columns)
    assert {c.split(".")[0] for c in columns[4:]} == {f["name"] for f in release.schema["fields"]}


def test_header_holds_no_words_for_people() -> None:
    """The schema is sent with every insert, its documentation is not."""
    assert b'"doc"' not in format_of(CATALOG.unmodelled).header
