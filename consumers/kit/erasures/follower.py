"""The topic `tapcart.erasures` -> the tombstones, read to its end and followed in a thread.

Invariants: `current` answers only if all tombstones of `STALE_SECONDS_MAX` ago are known, else it raises.
Tombstones without their key, or that this version cannot read, end the process: without them erased events
would come back. A topic that does not exist holds none. Joins no group, commits nothing, creates no topic.
"""

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from consumers.kit import client, offsets
from consumers.kit.erasures.erased_ids import ErasedIds, IdHashes, Tombstone
from consumers.kit.errors import TransientError
from runtime.environment import StartError
from runtime.kafka import topics

if TYPE_CHECKING:
    from consumers.kit.record import Place

STALE_SECONDS_MAX = 5.0
_CHECK_SECONDS = 1.0
_REQUEST_SECONDS_MAX = 2.0
_MESSAGES_MAX = 1_000
_DEFAULTS = {"socket.timeout.ms": "3000"}  # a silent connection is dropped after this
_READ_SECONDS_MAX = 10.0  # without a message


class ErasureError(StartError):
    """Nothing may be loaded, because tombstones cannot be used. The text names the remedy."""


class Erasures(Protocol):
    """The people erased so far, as a port."""

    def current(self) -> ErasedIds:
        """Return the tombstones. Raises: TransientError, ErasureError."""


class NobodyErased:
    """No tombstones."""

    def current(self) -> ErasedIds:
        """Return none."""
        return ErasedIds()


class StoredTombstone(msgspec.Struct, frozen=True):
    """A record's value; its key is the digest, and after a blank the app, if there is one."""

    erased_at_ms: int
    size: int
    key_id: str


_stored = msgspec.json.Decoder(StoredTombstone).decode


class ErasureFollower:
    """Reads the topic from the first call of `current` until the process ends. Thread-safe."""

    def __init__(self, kafka: Mapping[str, str], group: str, key: bytes | None) -> None:
        self._kafka, self._group = kafka, group
        self._hashes = IdHashes(key) if key else None
        self._erased = ErasedIds(self._hashes)
        self._positions: dict[Place, int] = {}  # next offsets
        self._read_at = float("-inf")
        self._why = "Kafka has not answered yet"
        self._failure: Exception | None = None
        self._tried = threading.Event()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def current(self) -> ErasedIds:
        """Return the tombstones. Raises: TransientError, ErasureError."""
        if self._thread is None:
            self._start()
        if not self._tried.is_set():
            self._tried.wait(_READ_SECONDS_MAX)
        if self._failure:
            raise self._failure
        if time.monotonic() - self._read_at > STALE_SECONDS_MAX:
            raise TransientError(f"{topics.ERASURES} cannot be read: {self._why}")
        return self._erased

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                kafka = {**_DEFAULTS, **self._kafka, "log_level": "0"}
                consumer = client.consumer(kafka, self._group, enable_partition_eof=True)
                thread = threading.Thread(target=self._run, args=(consumer,), name="erasures", daemon=True)
                thread.start()
                self._thread = thread

    def _run(self, consumer: Consumer) -> None:
        pause = threading.Event().wait
        while True:
            began = time.monotonic()
            try:
                self._read_to_end(consumer)
                self._read_at = began
            except KafkaException as error:
                self._why = error.args[0].str()
            except ErasureError as error:
                self._failure = error  # for those who ask
                self._tried.set()
                return
            self._tried.set()
            pause(_CHECK_SECONDS)

    def _read_to_end(self, consumer: Consumer) -> None:
        try:
            places = offsets.places(consumer, (topics.ERASURES,), _REQUEST_SECONDS_MAX)
        except KafkaException as error:
            if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
                return
            raise
        ends = offsets.ends(consumer, places, _REQUEST_SECONDS_MAX)
        if ends.keys() != self._positions.keys() or any(ends[p] < self._positions[p] for p in places):
            self._positions = dict.fromkeys(places, 0)  # a new topic, or a new partition
            consumer.assign([TopicPartition(*place, OFFSET_BEGINNING) for place in places])
        deadline = time.monotonic() + _READ_SECONDS_MAX
        while any(self._positions[place] < end for place, end in ends.items()):
            messages = consumer.consume(_MESSAGES_MAX, 0.1)
            if messages:
                deadline = time.monotonic() + _READ_SECONDS_MAX
            elif time.monotonic() > deadline:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT))  # noqa: SLF001 - has no public name
            for message in messages:
                self._take(message)

    def _take(self, message: Message) -> None:
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001 - has no public name
            raise KafkaException(error)
        place, offset = (message.topic() or "", message.partition() or 0), message.offset() or 0
        if error is None:
            value = message.value()
            if value is not None:
                self._erased.add(
                    self._tombstone(message.key() or b"", value, f"{place[0]}/{place[1]}/{offset}")
                )
            offset += 1
        self._positions[place] = offset

    def _tombstone(self, key: bytes | str, value: bytes | str, at: str) -> Tombstone:
        try:
            stored = _stored(value)
            text = key.decode() if isinstance(key, bytes) else key
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ErasureError(f"{at} is no erasure that this version of Tapline can read") from error
        if self._hashes is None:
            raise ErasureError(
                f"{topics.ERASURES} holds erasures: set ERASURE_KEY_FILE to the file of their key"
            )
        if stored.key_id != self._hashes.key_id:
            raise ErasureError(f"ERASURE_KEY_FILE: not the key of {at}: use the key that `tapline erase` had")
        digest, _, app_id = text.partition(" ")
        return Tombstone(digest, stored.erased_at_ms, stored.size, app_id)
