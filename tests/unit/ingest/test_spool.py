"""The disk queue against a model, on a real disk."""

import asyncio
import contextlib
import os
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.delivery import segment
from ingest.delivery.record import OutgoingRecord
from ingest.delivery.spool import Spool, SpoolUnavailableError

_MEBIBYTE = 1024 * 1024


def record(number: int, size: int = 10) -> OutgoingRecord:
    """Return a distinguishable record."""
    return OutgoingRecord("tapcart.events", b"app", b"%d" % number + b"x" * size, [], number)


@asynccontextmanager
async def opened(directory: Path, bytes_max: int = _MEBIBYTE) -> AsyncIterator[Spool]:
    """Yield a spool, opened and closed like in a process."""
    spool = Spool(directory, bytes_max)
    with contextlib.suppress(SpoolUnavailableError):
        await spool.open()
    writing = asyncio.create_task(spool.run())
    try:
        yield spool
    finally:
        writing.cancel()


async def drained(spool: Spool) -> list[OutgoingRecord]:
    """Return all records, removing them like the publisher."""
    found = []
    spool.rewind()
    while piece := await spool.read():
        found += piece.contents.records
        spool.acknowledge(piece, 0, len(piece.frames))
    await spool.clear()
    return found


def test_gives_back_in_order_what_was_appended(tmp_path: Path) -> None:
    """Records are read in the order of their appends, and then the spool is empty."""

    async def scenario() -> None:
        async with opened(tmp_path) as spool:
            await asyncio.gather(*(spool.append(record(n)) for n in range(500)))

            assert await drained(spool) == [record(n) for n in range(500)]
            assert spool.empty
            assert spool.bytes == 0
            assert list(tmp_path.iterdir()) == []

    asyncio.run(scenario())


def test_knows_how_many_records_wait(tmp_path: Path) -> None:
    """Exactly for this process's appends; estimated by size for an earlier one's."""

    async def scenario() -> None:
        async with opened(tmp_path) as first:
            await asyncio.gather(*(first.append(record(n, 1000)) for n in range(1000)))
            exact = first.records
        async with opened(tmp_path) as second:
            estimated = second.records
            await drained(second)
            assert second.records == 0

        assert exact == 1000
        assert estimated == pytest.approx(1000, rel=0.02)

    asyncio.run(scenario())


def test_concurrent_appends_share_an_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Five hundred appends at once cost a few fsyncs, not five hundred."""
    calls: list[int] = []
    fsync = os.fsync

    def counted(descriptor: int) -> None:
        calls.append(descriptor)
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", counted)

    async def scenario() -> None:
        async with opened(tmp_path) as spool:
            await asyncio.gather(*(spool.append(record(n)) for n in range(500)))

    asyncio.run(scenario())

    assert 2 <= len(calls) <= 5


def test_an_append_returns_after_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record whose fsync fails is refused, and the segment is never written again."""

    async def scenario() -> None:
        async with opened(tmp_path) as spool:
            await spool.append(record(1))
            monkeypatch.setattr(os, "fsync", _failing)
            with pytest.raises(SpoolUnavailableError, match="failed"):
                await spool.append(record(2))
            monkeypatch.undo()
            await spool.append(record(3))

            assert len(list(tmp_path.iterdir())) == 2
            assert await drained(spool) == [record(1), record(3)]

    asyncio.run(scenario())


def _failing(_descriptor: int) -> None:
    raise OSError(5, "Input/output error")


def test_tells_how_long_the_oldest_has_waited(tmp_path: Path) -> None:
    """By the record's own time, also after a restart; None if nothing waits."""

    async def scenario() -> None:
        async with opened(tmp_path) as spool:
            assert spool.oldest_ms() is None
            await spool.append(record(17))
            await spool.append(record(18))
        async with opened(tmp_path) as spool:
            assert spool.oldest_ms() == 17
            piece = await spool.read()
            assert piece
            spool.acknowledge(piece, 0, 1)
            assert spool.oldest_ms() == 18
            await drained(spool)
            assert spool.oldest_ms() is None

    asyncio.run(scenario())


def test_is_bounded_in_bytes(tmp_path: Path) -> None:
    """A record beyond the limit is refused; space freed by draining is usable again."""

    async def scenario() -> None:
        async with opened(tmp_path, bytes_max=2000) as spool:
            kept = 0
            with pytest.raises(SpoolUnavailableError, match="full"):
                for kept in range(100):
                    await spool.append(record(kept, 100))

            assert spool.bytes <= 2000
            assert len(await drained(spool)) == kept
            await spool.append(record(1, 100))

    asyncio.run(scenario())


def test_rolls_over_to_a_new_segment(tmp_path: Path) -> None:
    """Segments are limited, even if all is appended at once, which limits repetitions after a crash."""

    async def scenario() -> None:
        async with opened(tmp_path, 64 * _MEBIBYTE) as spool:
            await asyncio.gather(*(spool.append(record(n, _MEBIBYTE)) for n in range(12)))

        assert len(list(tmp_path.iterdir())) == 3

    asyncio.run(scenario())


def test_reads_on_into_the_segment_that_is_being_written(tmp_path: Path) -> None:
    """Synced records are read once, in order, while appends continue; a rewind repeats undelivered ones."""

    async def scenario() -> None:
        async with opened(tmp_path) as spool:
            await asyncio.gather(*(spool.append(record(n)) for n in range(3)))
            first = await spool.read()
            assert first
            appending = asyncio.gather(*(spool.append(record(n)) for n in range(3, 5)))
            await asyncio.sleep(0)  # they have started
            second = await spool.read()
            await appending
            assert second
            spool.acknowledge(first, 0, 2)
            spool.rewind()
            again = await drained(spool)

        assert first.contents.records == [record(n) for n in range(3)]
        assert second.contents.records == [record(3), record(4)]
        assert again == [record(2), record(3), record(4)]

    asyncio.run(scenario())


def test_forgets_an_append_that_nobody_awaits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hanging disk holds one write, not every request that arrived meanwhile and was refused."""
    hanging = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda _: hanging.wait(20))

    async def scenario() -> None:
        async with opened(tmp_path) as spool:
            appends = [asyncio.create_task(spool.append(record(n))) for n in range(1)]
            await asyncio.sleep(0.05)  # being written
            appends += [asyncio.create_task(spool.append(record(n, 1000))) for n in range(1, 50)]
            await asyncio.sleep(0)
            full = spool.bytes
            for append in appends:
                append.cancel()
            await asyncio.gather(*appends, return_exceptions=True)
            left = spool.bytes
            hanging.set()
            monkeypatch.undo()

        assert full > 49_000
        assert left < 100

    asyncio.run(scenario())


def test_a_name_that_is_not_on_the_disk_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segment whose folder cannot be synced is not used: a power cut could lose its name."""

    async def scenario() -> None:
        async with opened(tmp_path) as spool:
            monkeypatch.setattr(os, "fsync", _failing)
            with pytest.raises(SpoolUnavailableError):
                await spool.append(record(1))
            monkeypatch.undo()
            await spool.append(record(2))

            assert await drained(spool) == [record(2)]
        assert list(tmp_path.iterdir()) == []

    asyncio.run(scenario())


def test_new_segments_follow_those_that_could_not_be_listed_at_first(tmp_path: Path) -> None:
    """Their numbers follow those of existing segments, so older ones are read first."""

    async def scenario() -> None:
        async with opened(tmp_path) as spool:
            await spool.append(record(1))
        (segment_file,) = tmp_path.iterdir()
        segment_file.rename(tmp_path / f"{7:020d}.spool")
        later = Spool(tmp_path, _MEBIBYTE)
        writing = asyncio.create_task(later.run())
        await later.append(record(2))
        await later.open()

        assert await drained(later) == [record(1), record(2)]
        writing.cancel()
        await later.close()

    asyncio.run(scenario())


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """If its folder is a file, the service runs anyway; the spool reports the error and accepts nothing."""
    (tmp_path / "spool").write_text("in the way")

    async def scenario() -> None:
        async with opened(tmp_path / "spool") as spool:
            assert spool.unavailable
            with pytest.raises(SpoolUnavailableError):
                await spool.append(record(1))

    asyncio.run(scenario())


steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 20)),
        st.tuples(st.just("drain"), st.just(0)),
        st.tuples(st.just("crash"), st.integers(0, 200)),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(steps)
def test_behaves_like_a_queue_that_survives_crashes(
    tmp_path_factory: pytest.TempPathFactory, plan: list[tuple[str, int]]
) -> None:
    """For any order of appends, drains and crashes that cut an unacknowledged tail, it matches the model."""
    directory = tmp_path_factory.mktemp("spool")
    model: list[OutgoingRecord] = []

    async def scenario() -> None:
        number = 0
        steps = iter([*plan, ("crash", 0)])
        while life := [*_until_a_crash(steps)]:
            async with opened(directory) as spool:
                for step, amount in life:
                    if step == "append":
                        batch = [record(number + n) for n in range(amount)]
                        number += amount
                        await asyncio.gather(*map(spool.append, batch))
                        model.extend(batch)
                    elif step == "drain":
                        assert await drained(spool) == model
                        model.clear()
            _write_torn_tail(directory, life[-1][1])
        async with opened(directory) as spool:
            assert await drained(spool) == model

    asyncio.run(scenario())


def _until_a_crash(steps: Iterator[tuple[str, int]]) -> Iterator[tuple[str, int]]:
    for step, amount in steps:
        yield step, amount
        if step == "crash":
            return


def _write_torn_tail(directory: Path, size: int) -> None:
    """Write part of an unacknowledged frame, like a process killed in a write."""
    newest = max(directory.glob("*.spool"), default=None)
    if newest:
        with newest.open("ab") as file:
            file.write(segment.frame(record(0, 300))[:size])


def test_says_why_it_is_unavailable_until_it_stores_again(tmp_path: Path) -> None:
    """The reason is the disk's own."""

    async def scenario() -> None:
        async with opened(tmp_path / "spool", 100) as spool:
            await spool.append(record(1, 10))
            assert spool.unavailable == ""
            with pytest.raises(SpoolUnavailableError):
                await spool.append(record(2, 1000))
        blocked = tmp_path / "blocked"
        blocked.write_bytes(b"")  # no folder
        async with opened(blocked) as spool:
            with pytest.raises(SpoolUnavailableError):
                await spool.append(record(1))
            assert spool.unavailable == "File exists"
            blocked.unlink()
            await spool.append(record(2))
            assert spool.unavailable == ""

    asyncio.run(scenario())
