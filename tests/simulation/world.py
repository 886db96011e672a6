"""A script -> a run of ingest's delivery in a world that follows it; every step checks every invariant.

The publisher, its state machine, the spool, its files' layout and the rescue are the real ones. Invariants:
those of the ledger; memory is bounded by the requests in flight; every request is answered in time; once the
world is healthy, records go to Kafka directly again within the bound, under load.
"""

import asyncio
import gc
import logging
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from ingest.delivery import hand_over, segment_writer
from ingest.delivery import publisher as publishing
from ingest.delivery import spool as spooling
from ingest.delivery.publisher import NotKeptError, Publisher
from ingest.delivery.record import OutgoingRecord
from ingest.delivery.rescue import Rescue
from ingest.delivery.set_aside import SetAside
from ingest.delivery.spool import Spool
from ingest.delivery.state import DeliveryState
from ingest.metrics import Metrics
from runtime.kafka import topics
from schemas.catalog.catalog import Catalog
from tests.simulation.fake_disk import FakeDisk, Platters
from tests.simulation.fake_kafka import FakeProducer, FakeTopics, Kafka
from tests.simulation.faults import Climate
from tests.simulation.ledger import POISON, Ledger, ViolationError, require
from tests.simulation.script import Fault, Script
from tests.simulation.virtual_loop import CrashError, StuckError, VirtualLoop

_FOLDER = Path("/spool")
# Small, so that a few records exceed every bound.
_WINDOW_RECORDS, _TAIL_BYTES, _SEGMENT_BYTES = 8, 250, 400
_FRAME_BYTES_MIN = 30
_ACKNOWLEDGE_SECONDS_MAX = 2.0
# Held, given up, spooled; a rejected record also tries the quarantine and a file.
_ANSWER_SECONDS_MAX = (_ACKNOWLEDGE_SECONDS_MAX + 1.0) + (_ACKNOWLEDGE_SECONDS_MAX + 0.1) + 0.8 + 0.1
_REFUSED_SECONDS_MAX = 3.0
_BACK_SECONDS_MAX = 10.0
_DRAINED_PER_SECOND = 500.0  # capacity of a window of 8 on the slowest healthy Kafka
_LIFE_STEPS_MAX = 400_000
_CATALOG = Catalog.load()
_METRICS = Metrics()


@dataclass(slots=True)
class _Process:
    """One life of ingest."""

    loop: VirtualLoop
    disk: FakeDisk
    producer: FakeProducer
    spool: Spool
    publisher: Publisher
    tasks: list[asyncio.Task[None]]  # its own tasks, and those of its senders


class World:
    """One run. Every random number comes from the seed."""

    def __init__(
        self, script: Script, trace: Callable[[str], None] | None = None, *, load_goes_on: bool = True
    ) -> None:
        self.steps = 0
        self.crashes = 0
        self.backlog = 0  # records spooled when the world became healthy
        self.back_seconds = 0.0  # from then until the state was direct
        self._load_goes_on = load_goes_on
        self._script = script
        self._trace = trace
        self._rng = random.Random(f"world {script.seed}")
        self._kafka = Kafka(lambda record: POISON in record.value)
        self._platters = Platters(self._rng)
        self._climate = Climate(script, self._kafka, self._platters)
        self.ledger = Ledger(self._kafka, self._platters)
        self._faults = [*script.faults]
        self._under_way: list[tuple[float, Fault]] = []  # faults, and when they end
        self._open: dict[int, float] = {}  # requests -> when they must be answered
        self._now = 0.0
        self._numbers = 0
        self._back_before = 0.0  # direct again; 0 while faults go on
        self._is_closing = False
        self._crash_in = -1  # steps
        self._cuts_power = False
        self._process: _Process
        self._ended: list[asyncio.Task[None]] = []  # its tasks, to be examined

    def run(self) -> None:
        """Run until the script has ended and everything is in Kafka. Raises: ViolationError."""
        while not self._live():
            pass
        self.ledger.check_all(at_the_end=True)
        self.ledger.check_order()

    def _live(self) -> bool:
        """Run one process until it crashes; return whether it reached the end instead."""
        # Sockets, processes and signals, which mypy misses, are not called.
        with VirtualLoop(self._now, self._job_seconds) as loop:  # type: ignore[abstract]
            self._process = process = self._started(loop)
            self._open.clear()
            try:
                while not self._is_over(process):
                    loop.run_step()
                    self._check(process)
            except CrashError:
                self._crash(process)
                return False
            except StuckError as error:
                raise ViolationError(str(error)) from error
            finally:
                self.steps += loop.steps
                self._now = loop.time()
        return True

    def _started(self, loop: VirtualLoop) -> _Process:
        disk = FakeDisk(self._platters, self._rng, self.ledger.removed)
        producer = FakeProducer(self._kafka, self._rng)
        spool = Spool(_FOLDER, 1 << 20, disk)
        publisher = Publisher(
            producer,
            spool,
            FakeTopics(self._kafka, _ACKNOWLEDGE_SECONDS_MAX),
            Rescue(producer, SetAside(_FOLDER, 1 << 20, disk), lambda: _CATALOG, _METRICS),
            _METRICS,
            acknowledge_seconds_max=_ACKNOWLEDGE_SECONDS_MAX,
        )
        works = [publisher.run(), self._follow_script()]
        works += [self._send(key, gap) for key, gap in self._script.senders]
        tasks = [*map(loop.create_task, works)]
        self._ended.clear()
        for task in tasks:
            task.add_done_callback(self._ended.append)
        return _Process(loop, disk, producer, spool, publisher, tasks)

    async def _send(self, key: str, gap: float) -> None:
        """Post one record after the other, each when the one before was answered."""
        while not self._is_closing:
            await asyncio.sleep(gap * self._rng.uniform(0.5, 1.5))
            self._numbers += 1
            value = b"<%d>" % self._numbers
            if self._rng.random() < self._script.poison:
                value += POISON
            await self._post(OutgoingRecord(topics.EVENTS, key.encode(), value, [], self._numbers))

    async def _post(self, record: OutgoingRecord) -> None:
        seconds_max = _ANSWER_SECONDS_MAX + (_REFUSED_SECONDS_MAX if POISON in record.value else 0.0)
        accepted = self.ledger.moment()
        self._open[accepted] = self._process.loop.time() + seconds_max
        try:
            kept = await self._process.publisher.publish(record)
        except NotKeptError as error:
            self._say(f"{record.value!r} is not kept: {error}")
            await asyncio.sleep(0.2)
        else:
            self._say(f"{record.value!r} is in {kept}")
            self.ledger.acknowledge(record, accepted, kept)
        finally:
            self._open.pop(accepted, None)

    async def _follow_script(self) -> None:
        loop, end = self._process.loop, self._script.chaos_seconds
        while self._faults or self._under_way:
            begins = self._faults[0].begins if self._faults else end
            ends = self._under_way[0][0] if self._under_way else end
            if (when := min(begins, ends)) >= end:
                break
            await asyncio.sleep(when - loop.time())
            if ends == when:
                self._end(self._under_way.pop(0)[1])
            else:
                self._begin(self._faults.pop(0))
        await asyncio.sleep(end - loop.time())
        self._heal()
        self._is_closing = not self._load_goes_on
        while self._process.publisher.state is not DeliveryState.DIRECT:  # noqa: ASYNC110 - as an operator looks
            await asyncio.sleep(0.01)
        self.back_seconds = loop.time() - end
        self._say("direct, under load")
        self._is_closing = True

    def _begin(self, fault: Fault) -> None:
        self._say(f"{fault}")
        self._climate.begin(fault)
        match fault.kind:
            case "kafka fails fatally":
                self._process.producer.fail_fatally()
            case "power cut at a call of the disk":
                self._process.disk.calls_left, self._cuts_power = 1 + int(fault.strength * 12), True
            case "kill" | "power cut":
                self._crash_in, self._cuts_power = int(fault.strength * 60), fault.kind == "power cut"
        if fault.seconds:
            self._under_way.append((self._process.loop.time() + fault.seconds, fault))
            self._under_way.sort(key=lambda under_way: under_way[0])

    def _end(self, fault: Fault) -> None:
        self._say(f"ends: {fault.kind}")
        self._climate.end(fault)

    def _heal(self) -> None:
        process = self._process
        for _, fault in self._under_way:
            self._end(fault)
        self._under_way.clear()
        self._faults.clear()
        process.disk.calls_left = self._crash_in = -1
        self.backlog = process.spool.records
        backlog_seconds = self.backlog / _DRAINED_PER_SECOND
        self._back_before = process.loop.time() + _BACK_SECONDS_MAX + 2 * backlog_seconds
        self._say(f"healthy; {self.backlog} records are spooled")

    def _is_over(self, process: _Process) -> bool:
        if not self._is_closing or not all(task.done() for task in process.tasks[1:]):
            return False
        return process.publisher.state is DeliveryState.DIRECT and process.spool.bytes == 0

    def _crash(self, process: _Process) -> None:
        self.crashes += 1
        self._crash_in = -1
        process.producer.crash()
        if self._cuts_power:
            self._platters.cut_power()
        self._say(f"crash, {'with' if self._cuts_power else 'without'} a power cut")
        self.ledger.check_all(at_the_end=False)

    def _check(self, process: _Process) -> None:
        """Check every invariant. It runs after every step, so it makes no message before one breaks."""
        loop, requests = process.loop, len(self._open)
        if self._ended or loop.faults:
            self._check_ends(process)
        bounded = 2 * (requests + _WINDOW_RECORDS + publishing._TAIL_BYTES_MAX // _FRAME_BYTES_MIN)
        if process.producer.pending > bounded:
            raise ViolationError(f"{process.producer.pending} records are pending")
        if process.publisher.held > requests:
            raise ViolationError(f"{process.publisher.held} records are held")
        if len(process.spool._waiting) > requests:
            raise ViolationError(f"{len(process.spool._waiting)} records wait for the disk")
        now = loop.time()
        if requests and next(iter(self._open.values())) + _REFUSED_SECONDS_MAX < now:
            raise ViolationError("a request is not answered in time")
        if self._back_before and now > self._back_before and not self._is_closing:
            raise ViolationError(f"still {process.publisher.state}")
        if loop.steps > _LIFE_STEPS_MAX:
            raise ViolationError("the loop turns without end")
        if self._crash_in >= 0:
            self._crash_in -= 1
            if self._crash_in <= 0:
                raise CrashError

    def _check_ends(self, process: _Process) -> None:
        for task in self._ended:
            if error := _end_of(task):
                raise error
        self._ended.clear()
        require(not process.loop.faults, "; ".join(process.loop.faults))
        require(not process.tasks[0].done(), "run() returned")

    def _job_seconds(self) -> float:
        return self._platters.weather.seconds * self._rng.uniform(0.5, 1.5)

    def _say(self, text: str) -> None:
        if self._trace:
            process = self._process
            self._trace(f"{process.loop.time():9.4f} s  {process.publisher.state.value:12} {text}")


def _end_of(task: asyncio.Task[None]) -> BaseException | None:
    error: BaseException | None = task.exception()
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


@contextmanager
def small(tail_bytes: int = _TAIL_BYTES, segment_bytes: int = _SEGMENT_BYTES) -> Iterator[None]:
    """Set bounds that few records exceed, without a log or warnings about coroutines left by a crash."""
    with (
        warnings.catch_warnings(action="ignore", category=RuntimeWarning),
        mock.patch.object(hand_over, "_WINDOW_RECORDS_MAX", _WINDOW_RECORDS),
        mock.patch.object(publishing, "_TAIL_BYTES_MAX", tail_bytes),
        mock.patch.object(segment_writer, "SEGMENT_BYTES_MAX", segment_bytes),
        mock.patch.object(spooling, "SEGMENT_BYTES_MAX", segment_bytes),
    ):
        logging.disable(logging.CRITICAL)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
            gc.collect()
