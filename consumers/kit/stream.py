"""`events(...)`: a loop over events, in sync and async code. Guarantees: see the package's docstring."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Any, Generic, TypeVar, cast, overload

from confluent_kafka import Message

from consumers.kit.event_filter import event_filter
from consumers.kit.group_consumer import Membership
from consumers.kit.metrics import Metrics
from consumers.kit.metrics_server import ListenAddress, serve
from consumers.kit.offset_tracker import Hold
from consumers.kit.reader import Arrival, Reader
from consumers.kit.settings import Settings
from runtime import certificates
from runtime.kafka import topics
from schemas.catalog.schema_reloader import lenient_reloader

T = TypeVar("T")

_POLL_SECONDS_MAX = 0.2  # a stop is noticed within this


class Events(Generic[T]):
    """Yields events one by one. One loop at a time."""

    def __init__(self, open_reader: Callable[[threading.Event], Reader]) -> None:
        self._open = open_reader
        self._stopping = threading.Event()
        self._arrival: Arrival | None = None
        self._reader: Reader | None = None
        self._is_held = False

    @property
    def record(self) -> Message:
        """The record of the current event, as a confluent_kafka message: partition, offset, headers."""
        return cast("Message", self._under_way().record)

    @property
    def log(self) -> int:
        """The log of the current record.

        Its partition and offset are unique only within it: see `consumers.kit`.
        """
        return self._under_way().log

    def hold(self) -> Hold:
        """Keep the current event uncommitted until `release` is called on the returned hold.

        Later records of its partition stay uncommitted too, so a restart reads all of them again.
        """
        self._is_held = True
        return self._under_way().hold

    @property
    def read_until_ms(self) -> int:
        """The moment until which all received events of our partitions were read; for ticks.

        It does not advance while more is waiting in Kafka or in a spool, or while Kafka or an ingest process
        does not answer; 0: unknown. See `consumers.kit.received_until`.
        """
        return self._reader.read_until_ms() if self._reader else 0

    def stop(self) -> None:
        """End the loop after the current body, whose event counts as done. Thread-safe."""
        self._stopping.set()

    def __iter__(self) -> Iterator[T]:
        return cast("Iterator[T]", self._run(float("inf")))

    def __aiter__(self) -> AsyncIterator[T]:
        return cast("AsyncIterator[T]", self._run_async(float("inf")))

    def ticking(self, seconds: float) -> Iterator[T | None]:
        """Yield events, and None every `seconds`, even without events.

        A tick waits until the events already read, at most 500, are done.
        """
        return self._run(seconds)

    def ticking_async(self, seconds: float) -> AsyncIterator[T | None]:
        """Yield the same as `ticking`, in async code."""
        return self._run_async(seconds)

    def _under_way(self) -> Arrival:
        if self._arrival is None:
            raise RuntimeError("there is no current event: call this in the loop's body")
        return self._arrival

    def _run(self, tick_seconds: float) -> Iterator[T | None]:
        ticks = _Ticks(tick_seconds)
        reader = self._reader = self._open(self._stopping)
        with _stopped_by_signals(self.stop):
            try:
                while not self._stopping.is_set():
                    for arrival in reader.take(ticks.wait):
                        if self._stopping.is_set():
                            break
                        yield self._begin(arrival)
                        self._end()
                    if ticks.are_due and not self._stopping.is_set():
                        yield None
            finally:
                self._arrival = self._reader = None
                reader.close()

    async def _run_async(self, tick_seconds: float) -> AsyncGenerator[T | None, None]:
        ticks = _Ticks(tick_seconds)
        # One thread, so that a task cancelled while waiting closes only after the poll.
        with ThreadPoolExecutor(1, "kit") as thread, _stopped_by_signals(self.stop):
            ask = asyncio.get_running_loop().run_in_executor
            reader = self._reader = await ask(thread, self._open, self._stopping)
            try:
                while not self._stopping.is_set():
                    for arrival in await ask(thread, reader.take, ticks.wait):
                        if self._stopping.is_set():
                            break
                        yield self._begin(arrival)
                        self._end()
                    if ticks.are_due and not self._stopping.is_set():
                        yield None
            finally:
                self._arrival = self._reader = None
                await ask(thread, reader.close)

    def _begin(self, arrival: Arrival) -> T:
        self._arrival, self._is_held = arrival, False
        return cast("T", arrival.event)

    def _end(self) -> None:
        """Mark the event as done unless the body holds it."""
        if self._arrival and not self._is_held:
            self._arrival.hold.release()
        self._arrival = None


@overload
def events(
    group: str,
    types: Iterable[type[T]],
    app_id: str | None = None,
    since: timedelta | datetime | None = None,
    env: Mapping[str, str] | None = None,
) -> Events[T]: ...
@overload
def events(
    group: str,
    types: Iterable[str] | None = None,
    app_id: str | None = None,
    since: timedelta | datetime | None = None,
    env: Mapping[str, str] | None = None,
) -> Events[dict[str, Any]]: ...
def events(
    group: str,
    types: Iterable[type[Any] | str] | None = None,
    app_id: str | None = None,
    since: timedelta | datetime | None = None,
    env: Mapping[str, str] | None = None,
) -> Events[Any]:
    """Return the events that a consumer group has not done yet, and all new ones.

    `types`: a class (of `consumers.kit.types`, or your own with the same name) yields its objects, a name
    yields dicts; None: dicts of all types. `since`: where to start partitions without a committed offset;
    default: at the beginning. `env`: replaces the environment. Raises: SettingsError, CatalogError.
    """
    settings = Settings.from_env(os.environ if env is None else env)
    reloader = lenient_reloader(settings.schemas_dir, settings.schema_registry)
    membership = Membership(group, (topics.EVENTS,), _since_ms(since))
    chosen, metrics = event_filter(reloader.catalog, types, app_id), Metrics()
    certificates.watch_files(metrics.certificates, settings.kafka, settings.schema_registry)
    readers: list[Reader] = []

    def open_reader(stopping: threading.Event) -> Reader:
        readers[:] = [Reader(settings, membership, chosen, reloader, metrics, stopping)]
        return readers[0]

    if settings.metrics_port:
        serve(
            metrics.registry,
            ListenAddress(settings.metrics_host, settings.metrics_port, "KIT_METRICS_PORT"),
            lambda: not readers or readers[0].is_alive,
            lambda: any(reader.is_ready for reader in readers),
            lambda: readers[0].problem if readers else "",
        )
    return Events(open_reader)


def _since_ms(since: timedelta | datetime | None) -> int | None:
    if isinstance(since, timedelta):
        since = datetime.now(UTC) - since
    return None if since is None else max(0, round(since.timestamp() * 1000))


class _Ticks:
    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due = time.monotonic() + seconds

    @property
    def wait(self) -> float:
        """The time to wait for Kafka."""
        return min(_POLL_SECONDS_MAX, max(0.0, self._due - time.monotonic()))

    @property
    def are_due(self) -> bool:
        """Whether a tick is due; if so, the next one is `seconds` from now."""
        now = time.monotonic()
        is_due = now >= self._due
        if is_due:
            self._due = now + self._seconds
        return is_due


@contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    """Let the first SIGTERM or SIGINT end the loop in order; a second one acts as before."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def restore() -> None:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, signal.SIG_DFL if handler is None else handler)

    def handle(_number: int, _frame: FrameType | None) -> None:
        restore()
        stop()

    before = {number: signal.signal(number, handle) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        restore()
