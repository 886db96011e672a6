"""The disk queue against a model, on a real disk."""

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.delivery import segment
from ingest.delivery.record import Record
from ingest.delivery.spool import Spool, SpoolUnavailableError

_MEBIBYTE = 1024 * 1024


def record(number: int, size: int = 10) -> Record:
    """Return a record that can be told from all others."""
    return Record("tapcart.events", b"app", b"%d" % number + b"x" * size, [], number)


async def opened(directory: Path, bytes_max: int = _MEBIBYTE) -> Spool:
    """Return a spool as a process finds it at its start."""
    spool = Spool(directory, bytes_max)
    await spool.open()
    return spool


async def drained(spool: Spool) -> list[Record]:
    """Return all records, removing them as a drain would."""
    found = []
    while path := await spool.oldest():
        found += (await spool.read(path)).records
        await spool.remove(path, set_aside=False)
    return found


def test_gives_back_in_order_what_was_appended(tmp_path: Path) -> None:
    """Records come out in the order in which their appends began, and the spool is empty then."""

    async def scenario() -> None:
        spool = await opened(tmp_path)
        await asyncio.gather(*(spool.append(record(n)) for n in range(500)))

        assert await drained(spool) == [record(n) for n in range(500)]
        assert spool.empty
        assert spool.bytes == 0
        assert list(tmp_path.iterdir()) == []

    asyncio.run(scenario())


def test_knows_how_many_records_wait(tmp_path: Path) -> None:
    """Exactly what this process appended; of what an earlier one left, as many as its size tells."""

    async def scenario() -> None:
        first = await opened(tmp_path)
        await asyncio.gather(*(first.append(record(n, 1000)) for n in range(1000)))
        exact = first.records
        await first.close()
        second = await opened(tmp_path)

        assert exact == 1000
        assert second.records == pytest.approx(1000, rel=0.02)
        await drained(second)
        assert second.records == 0

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
        spool = await opened(tmp_path)
        await asyncio.gather(*(spool.append(record(n)) for n in range(500)))
        await spool.close()

    asyncio.run(scenario())

    assert 2 <= len(calls) <= 5


def test_an_append_returns_after_fsync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A record whose fsync fails is refused, and the segment is not written again."""

    async def scenario() -> None:
        spool = await opened(tmp_path)
        await spool.append(record(1))
        monkeypatch.setattr(os, "fsync", _failing)
        with pytest.raises(SpoolUnavailableError, match="refused"):
            await spool.append(record(2))
        monkeypatch.undo()
        await spool.append(record(3))

        assert len(list(tmp_path.iterdir())) == 2
        assert await drained(spool) == [record(1), record(3)]

    asyncio.run(scenario())


def _failing(_descriptor: int) -> None:
    raise OSError(5, "Input/output error")


def test_tells_how_long_the_oldest_has_waited(tmp_path: Path) -> None:
    """By the record's own time, after a restart too; None when nothing waits."""

    async def scenario() -> None:
        spool = await opened(tmp_path)
        assert spool.oldest_ms() is None
        await spool.append(record(17))
        await spool.append(record(18))
        await spool.close()
        spool = await opened(tmp_path)

        assert spool.oldest_ms() == 17
        await drained(spool)
        assert spool.oldest_ms() is None

    asyncio.run(scenario())


def test_is_bounded_in_bytes(tmp_path: Path) -> None:
    """A record that would pass the bound is refused; room made by draining is usable again."""

    async def scenario() -> None:
        spool = await opened(tmp_path, bytes_max=2000)
        kept = 0
        with pytest.raises(SpoolUnavailableError, match="full"):
            for kept in range(100):
                await spool.append(record(kept, 100))

        assert spool.bytes <= 2000
        assert len(await drained(spool)) == kept
        await spool.append(record(1, 100))
        await spool.close()

    asyncio.run(scenario())


def test_rolls_over_to_a_new_segment(tmp_path: Path) -> None:
    """A drain that is killed repeats a segment at most, so segments are bounded."""

    async def scenario() -> None:
        spool = await opened(tmp_path, 64 * _MEBIBYTE)
        for n in range(12):
            await spool.append(record(n, _MEBIBYTE))
        await spool.close()

        assert len(list(tmp_path.iterdir())) == 3

    asyncio.run(scenario())


def test_sets_a_segment_aside(tmp_path: Path) -> None:
    """A damaged segment leaves the queue but not the disk."""

    async def scenario() -> None:
        spool = await opened(tmp_path)
        await spool.append(record(1))
        path = await spool.oldest()
        assert path
        await spool.remove(path, set_aside=True)

        assert spool.empty
        assert [entry.suffix for entry in tmp_path.iterdir()] == [".damaged"]

    asyncio.run(scenario())


def test_a_folder_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """A spool whose folder is a file does not stop the service; it says what is wrong and takes nothing."""
    (tmp_path / "spool").write_text("in the way")

    async def scenario() -> None:
        spool = await opened(tmp_path / "spool")

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
    """Whatever the order of appends, drains and crashes that cut an unacknowledged tail, the model agrees."""
    directory = tmp_path_factory.mktemp("spool")
    model: list[Record] = []

    async def scenario() -> None:
        spool = await opened(directory)
        number = 0
        for step, amount in plan:
            if step == "append":
                batch = [record(number + n) for n in range(amount)]
                number += amount
                await asyncio.gather(*map(spool.append, batch))
                model.extend(batch)
            elif step == "drain":
                assert await drained(spool) == model
                model.clear()
            else:
                _write_torn_tail(directory, amount)
                spool = await opened(directory)
        assert await drained(spool) == model

    asyncio.run(scenario())


def _write_torn_tail(directory: Path, size: int) -> None:
    """Leave what a process killed in a write leaves: part of a frame nobody was told of."""
    newest = max(directory.glob("*.spool"), default=None)
    if newest:
        with newest.open("ab") as file:
            file.write(segment.frame(record(0, 300))[:size])
