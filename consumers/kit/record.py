"""The parts of a Kafka message that pure modules need, without the client library."""

from typing import Protocol

Place = tuple[str, int]  # topic, partition


class Record(Protocol):
    """One Kafka message, with confluent_kafka's methods."""

    def topic(self) -> str | None: ...  # noqa: D102
    def partition(self) -> int | None: ...  # noqa: D102
    def offset(self) -> int | None: ...  # noqa: D102
    def timestamp(self) -> tuple[int, int]: ...  # noqa: D102
    def headers(self) -> list[tuple[str, bytes | None]] | None: ...  # noqa: D102
    def key(self) -> bytes | None: ...  # noqa: D102
    def value(self) -> bytes | None: ...  # noqa: D102
