"""Shared by all Kafka clients of Tapline's topics: names, partitioner, client properties.

In: the process environment. Out: constants and a dictionary of librdkafka properties.

Invariant: the partitioner is Java's (murmur2), so an app has the same partition with every client. Source:
the public contract in docs/clients.md.
"""

from collections.abc import Mapping

EVENTS = "tapcart.events"
QUARANTINE = "tapcart.quarantine"
AUDIT = "tapcart.audit"  # created when first needed, and read by nothing but the copier of the loader
ALL = (EVENTS, QUARANTINE)  # only the cluster knows their number of partitions
UNKNOWN_LOG = 0  # of a record that was not just read from its topic, see `runtime.kafka.log_ids`
ERASURES = "tapcart.erasures"  # compacted, and created by the first erasure; its records are no events

PARTITIONER = "murmur2_random"
# The limit of brokers, after compression: bodies have at most 2 MiB, and larger records compress well.
VALUE_BYTES_MAX = 4 * 1024 * 1024
# The limit of producers, before compression: a body of 2 MiB becomes a record of at most five times its size.
RECORD_BYTES_MAX = 11 * 1024 * 1024

# The only codec that every client supports out of the box: KafkaJS has no other, aiokafka and kafka-python
# need extras for the rest. Topics are created with it, so the broker recompresses records sent otherwise.
CODEC = "gzip"
COMPRESSION = {"compression.type": CODEC, "compression.level": "1"}

# Names that begin like client properties but are settings of ours.
_NOT_PROPERTIES = frozenset({"KAFKA_PORT", "KAFKA_RETENTION_BYTES", "KAFKA_RETENTION_HOURS"})


def client_properties(env: Mapping[str, str], prefix: str = "KAFKA_") -> dict[str, str]:
    """Read the client properties in `env`: `KAFKA_SECURITY_PROTOCOL` is `security.protocol`.

    Empty variables are left out. Names are not checked here; the library checks them.
    """
    return {
        name.removeprefix(prefix).lower().replace("_", "."): value
        for name, value in env.items()
        if name.startswith(prefix) and name not in _NOT_PROPERTIES and value
    }
