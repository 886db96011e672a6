"""What every Kafka client of Tapline's topics must agree on: names, headers, partitioner, client properties.

In: the process environment. Out: constants and a dictionary of librdkafka properties.

Invariant: the partitioner is Java's (murmur2), so that one app is one partition whichever client writes.
Source: the public contract in DESIGN.md.
"""

from collections.abc import Mapping

EVENTS = "tapcart.events"
QUARANTINE = "tapcart.quarantine"
ALL = (EVENTS, QUARANTINE)  # how many partitions they have, the cluster alone knows

SCHEMA_ID = "schema_id"
EVENT_TYPE = "event_type"
EVENT_ID = "event_id"
RECEIVED_AT_MS = "received_at_ms"
CRC32 = "crc32"
# There, and the last, if the value begins with an id of the registry at SCHEMA_REGISTRY_URL: the five bytes
# that it would begin with by our own ids. So who knows our schemas needs no registry, whichever it was.
SCHEMA_REGISTRY = "schema_registry"

PARTITIONER = "murmur2_random"
# Of what brokers take, compressed: bodies have 2 MiB at most, and what makes a record larger compresses well.
VALUE_BYTES_MAX = 4 * 1024 * 1024
# Of what producers take, before compression: a body of 2 MiB becomes a record of at most five times as much.
RECORD_BYTES_MAX = 11 * 1024 * 1024

# The codec that every client has as installed: KafkaJS has no other, aiokafka and kafka-python need extras
# for the rest. The topics are created with it, so the broker recompresses what is sent otherwise.
CODEC = "gzip"
COMPRESSION = {"compression.type": CODEC, "compression.level": "1"}

# Names that begin like client properties but are settings of the one-machine stack.
_NOT_PROPERTIES = frozenset({"KAFKA_PORT"})


def client_properties(env: Mapping[str, str], prefix: str = "KAFKA_") -> dict[str, str]:
    """Return the client properties in `env`: `KAFKA_SECURITY_PROTOCOL` is `security.protocol`.

    Empty variables are left out. The names are not checked here: the library does, when a client is made.
    """
    return {
        name.removeprefix(prefix).lower().replace("_", "."): value
        for name, value in env.items()
        if name.startswith(prefix) and name not in _NOT_PROPERTIES and value
    }
