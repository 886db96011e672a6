"""librdkafka properties -> a consumer with our shared defaults; and its messages, safe to read.

Invariants: commits only what the caller commits, skips nothing when an offset is gone, and never creates a
topic by reading it. Source: librdkafka's CONFIGURATION.md.
"""

from collections.abc import Iterable, Mapping
from operator import methodcaller
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message

from runtime.environment import SettingsError
from runtime.kafka import client_log

# User properties must not change these.
_REQUIRED = {
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "allow.auto.create.topics": False,
}
# Called this way, Python detects an error set beside a result, as the client fails; a plain call may not.
_headers = methodcaller("headers")
_DEFAULTS = {"reconnect.backoff.max.ms": 1_000, "socket.keepalive.enable": True}


def consumer(kafka: Mapping[str, Any], group: str, **more: Any) -> Consumer:
    """Build a consumer; `more`: properties with `_` for `.`, or callbacks. Raises: SettingsError.

    librdkafka requires a group name even of consumers that never join one.
    """
    properties = {
        **_DEFAULTS,
        **kafka,
        **_REQUIRED,
        "group.id": group,
        **{name if name.startswith("on_") else name.replace("_", "."): value for name, value in more.items()},
    }
    try:
        return Consumer(properties, logger=client_log.LOG)
    except KafkaException as error:
        raise SettingsError(f"KAFKA_*: {error.args[0].str()}") from error


def readable(messages: Iterable[Message]) -> list[Message]:
    """Return the messages; those with unreadable headers lose all their headers.

    Kafka accepts any bytes as a header's name. confluent_kafka 2.16 raises at the first name that is not
    UTF-8, and crashes the process at the next call. So each message's headers are read once, here.
    """
    found = [*messages]
    for index, message in enumerate(found):
        try:
            _headers(message)
        except (SystemError, UnicodeDecodeError):
            found[index] = _without_headers(message)
    return found


def _without_headers(message: Message) -> Message:
    return Message(
        topic=message.topic(),
        partition=message.partition(),
        offset=message.offset(),
        timestamp=message.timestamp(),
        key=message.key(),
        value=message.value(),
    )
