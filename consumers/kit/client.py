"""librdkafka properties -> a consumer, with the choices that all of ours share.

Invariants: nothing is committed but what is asked for, nothing is skipped because an offset is gone, no topic
is made by reading it. Source: librdkafka's CONFIGURATION.md.
"""

import logging
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaException

from schemas.environment import SettingsError

# What a user's property may not change.
_REQUIRED = {
    "auto.offset.reset": "earliest",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "allow.auto.create.topics": False,
}
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
