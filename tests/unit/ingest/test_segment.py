"""The bytes of a spool file, damaged in every way."""

import struct
import zlib
from itertools import accumulate

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.delivery import segment
from ingest.delivery.record import OutgoingRecord

records = st.builds(
    OutgoingRecord,
    topic=st.sampled_from(["tapcart.events", "tapcart.quarantine"]),
    key=st.binary(max_size=20),
    value=st.binary(max_size=200) | st.just(b"TPL1" * 20),
    headers=st.lists(st.tuples(st.text(max_size=10), st.binary(max_size=10)), max_size=3),
    timestamp_ms=st.integers(0, 2**53),
)

# Values this flat never parse as a record: its fourth member would be a list.
shapes = st.recursive(
    st.none() | st.integers(-(2**63), 2**63) | st.text(max_size=9) | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)


@given(st.lists(records, max_size=8))
def test_what_was_framed_is_parsed(written: list[OutgoingRecord]) -> None:
    """A whole file returns its records in order."""
    contents = segment.parse(b"".join(map(segment.frame, written)))

    assert contents.records == written
    assert (contents.damaged_bytes, contents.torn_bytes) == (0, 0)
    assert [frame.end for frame in contents.frames] == [*accumulate(len(segment.frame(r)) for r in written)]


@settings(deadline=None)
@given(st.lists(records, min_size=1, max_size=5), st.data())
def test_a_file_cut_at_any_byte_keeps_every_whole_frame(
    written: list[OutgoingRecord], data: st.DataObject
) -> None:
    """A crash in the middle of a write costs only the truncated frame, and is not damage."""
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
def test_damage_costs_only_the_frames_it_touches(written: list[OutgoingRecord], data: st.DataObject) -> None:
    """Overwriting bytes anywhere never invents a record and never costs an intact one."""
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
    kept = [segment.frame(frame.record) if frame.record else frame.damage for frame in contents.frames]
    assert b"".join(kept) == bytes(whole[: len(whole) - contents.torn_bytes])


@given(st.binary(max_size=300) | shapes.map(msgspec.msgpack.encode), st.lists(records, max_size=2))
def test_a_whole_frame_of_another_layout_is_damage(payload: bytes, others: list[OutgoingRecord]) -> None:
    """Its checksum is correct, but it is not a record: its bytes are kept, and frames around it are read."""
    odd = struct.pack(">4sII", b"TPL1", len(payload), zlib.crc32(payload)) + payload
    before, after = (b"".join(map(segment.frame, part)) for part in (others[:1], others[1:]))
    contents = segment.parse(before + odd + after)

    assert contents.records == others
    assert [frame.damage for frame in contents.frames if not frame.record] == [odd]
