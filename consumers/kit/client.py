"""librdkafka properties -> a consumer, with the choices that all of ours share; and what it reads.

Invariants: nothing is committed but what is asked for, nothing is skipped because an offset is gone, no topic
is made by reading it. Source: librdkafka's CONFIGURATION.md.
"""

import logging
from collections.abc import Iterable, Mapping
from operator import methodcaller
from typing import Any

from confluent_kafka import Consumer, KafkaException, Message

from runtime.environment import SettingsError

# What a user's property may not change.
_REQUIRED = {
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "allow.auto.create.topics": False,
}
# Called so, Python finds an error beside a result, which is how the client fails; by a plain call it may not.
_headers = methodcaller("headers")
_DEFAULTS = {"reconnect.backoff.max.ms": 1_000, "socket.keepalive.enable": True}


def consumer(kafka: Mapping[str, Any], group: str, log: logging.Logger, **more: Any) -> Consumer:
    """Return a consumer; `more`: properties with `_` for `.`, or callbacks. Raises: SettingsError.

    librdkafka wants the name of a group also from those who never join one.
    """
    properties = {
        **_DEFAULTS,
        **kafka,
        **_REQUIRED,
        "group.id": group,
        **{name if name.startswith("on_") else name.replace("_", "."): value for name, value in more.items()},
    }
    try:
        return Consumer(properties, logger=log)
    except KafkaException as error:
        raise SettingsError(f"KAFKA_*: {error.args[0].str()}") from error


def readable(messages: Iterable[Message]) -> list[Message]:
    """Return the messages, those without headers whose headers cannot be read.

    Kafka takes any bytes for a header's name. confluent_kafka 2.16 raises at the first that is not UTF-8, and
    returns names that end the process at the next call: so each is asked once, here.
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
