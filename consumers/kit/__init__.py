"""A consumer of your own in ten lines. It is confluent_kafka with the choices made.

    from consumers.kit import events
    from consumers.kit.types import AddedToCart

    for event in events(group="crm", types=[AddedToCart], app_id="a7Kq2mXw9L"):
        print(event.device_id, event.event_properties.product_title)

`async for` works too. Settings: KAFKA_*, SCHEMAS_DIR, SCHEMA_REGISTRY_*, INGEST_ADMIN_URL, KIT_METRICS_PORT,
KIT_METRICS_HOST.

What is guaranteed, whatever line the process is killed at:

- No event is skipped. An event is done when the body of the loop has ended; only then its offset may be
  committed, half a second later at most or with the end of the loop. What was done but not committed comes
  again. An event's identity is (app_id, hour of timestamp, device_id, event_id) within its type.
- An exception, `break` or `return` leaves the event under way undone: it comes again. `stop()`, SIGTERM and
  SIGINT end the loop after the body, which counts. A second signal does what it did before.
- When a partition goes to another member, what is done is committed first, and the rest comes again there.
  `hold()` keeps an event undone beyond its body; `is_ours` says whether that is still our business.
- A record of no use (bad checksum, unknown schema, does not decode, kept untyped though its type has a schema
  that it does not fit) is acknowledged by the quarantine topic before its offset counts as done, and never
  ends the loop; while that write fails, it is tried again.
- Order is that of the partition, and one app is one partition.
- `since` counts where the group has committed nothing, and is committed before the first event comes: a
  restart begins there too. It is the first record received then: older ones behind it come too, none is
  skipped. Kafka forgets the commits of a group that is away for long (7 days by default).
- `read_until_ms`, for what works by time: every event that ingest acknowledged, received before that moment
  and lying in our partitions, was polled. It stands still while more waits, in Kafka or in the spool of an
  ingest process, and while Kafka or one of those processes does not answer. It asks all admin ports in
  INGEST_ADMIN_URL; name every process there, or a name that stands for all. See `received_until`.

Not guaranteed: that an event comes once; that a body of more than five minutes (KAFKA_MAX_POLL_INTERVAL_MS)
is not repeated elsewhere meanwhile. When the topic gets more partitions, an app may move to one of another
member: what you remember of the app stays where it was. `read_until_ms` goes by ingest's clocks and is wrong
by as much as one is set back; where INGEST_ADMIN_URL is `none`, it does not know of spools.
"""

from consumers.kit.command import run
from consumers.kit.offset_tracker import Hold
from consumers.kit.stream import Events, events

__all__ = ["Events", "Hold", "events", "run"]
