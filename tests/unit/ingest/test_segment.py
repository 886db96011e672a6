"""The bytes of a spool file, damaged in every way."""

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.delivery import segment
from ingest.delivery.record import Record

records = st.builds(
    Record,
    topic=st.sampled_from(["tapcart.events", "tapcart.quarantine"]),
    key=st.binary(max_size=20),
    value=st.binary(max_size=200) | st.just(b"TPL1" * 20),
    headers=st.lists(st.tuples(st.text(max_size=10), st.binary(max_size=10)), max_size=3),
    timestamp_ms=st.integers(0, 2**53),
)


@given(st.lists(records, max_size=8))
def test_what_was_framed_is_parsed(written: list[Record]) -> None:
    """A whole file gives its records back, in order."""
    contents = segment.parse(b"".join(map(segment.frame, written)))

    assert contents == segment.Contents(written, damaged_bytes=0, torn_bytes=0)


@settings(deadline=None)
@given(st.lists(records, min_size=1, max_size=5), st.data())
def test_a_file_cut_at_any_byte_keeps_every_whole_frame(written: list[Record], data: st.DataObject) -> None:
    """A crash in the middle of a write costs only the frame it cut, and is no damage."""
    frames = [segment.frame(record) for record in written]
    whole = b"".join(frames)
    cut = data.draw(st.integers(0, len(whole)))
    contents = segment.parse(whole[:cut])

    ends = [sum(map(len, frames[: n + 1])) for n in range(len(frames))]
    survivors = sum(end <= cut for end in ends)
    assert contents.records == written[:survivors]
    assert contents.torn_bytes == cut - ([0, *ends][survivors])
    assert contents.damaged_bytes == 0


@settings(deadline=None)
@given(st.lists(records, min_size=1, max_size=6), st.data())
def test_damage_costs_only_the_frames_it_touches(written: list[Record], data: st.DataObject) -> None:
    """Bytes overwritten anywhere never invent a record and never cost an untouched one."""
    frames = [segment.frame(record) for record in written]
    whole = bytearray(b"".join(frames))
    start = data.draw(st.integers(0, len(whole) - 1))
    junk = data.draw(st.binary(min_size=1, max_size=40))
    whole[start : start + len(junk)] = junk[: len(whole) - start]
    contents = segment.parse(bytes(whole))

    position = 0
    untouched = []
    for record, frame in zip(written, frames, strict=True):
        if bytes(whole[position : position + len(frame)]) == frame:
            untouched.append(record)
        position += len(frame)
    assert contents.records == untouched
