"""Your own consumer in ten lines: confluent_kafka with the right choices already made.

    from consumers.kit import events
    from consumers.kit.types import AddedToCart

    for event in events(group="crm", types=[AddedToCart], app_id="a7Kq2mXw9L"):
        print(event.device_id, event.event_properties.product_title)

`async for` works too. Settings: KAFKA_*, SCHEMAS_DIR, SCHEMA_REGISTRY_*, INGEST_ADMIN_URL, KIT_METRICS_PORT,
KIT_METRICS_HOST.

Guaranteed, even across SIGKILL:

- At-least-once delivery. An event is done once the loop's body has ended; only then may its offset be
  committed, at most half a second later or at the end of the loop. Events done but not committed are
  repeated. An event's identity is (app_id, hour of timestamp, device_id, event_id) within its type.
- An exception, `break` or `return` leaves the current event undone, so it is repeated. `stop()`, SIGTERM and
  SIGINT end the loop after the current body, whose event is done. A second signal acts as before.
- When a partition is revoked, finished events are committed first; its next owner reads the rest. `hold()`
  keeps an event undone beyond its body; `is_ours` tells whether its partition is still ours.
- Invalid records (wrong checksum, unknown schema, undecodable, or untyped although their type has a schema
  that they do not fit) never end the loop. The quarantine topic must acknowledge them before their offset
  counts as done; a failed write is retried.
- `log` is a number of the topic's log: another one once the topic, or Kafka with its data, was created again.
  Only (log, partition, offset) names a record for good. A running loop ends with TopicReplacedError then; the
  next start reads the new log from its beginning.
- Events arrive in the order of their partition, and an app belongs to one partition. With
  INGEST_KEY=app_id,device_id a device does, and events without a device lie in the app's own.
- `since` applies to partitions without a committed offset. It is committed before the first event, so a
  restart starts there too. Reading starts with the first record received since then; no record is skipped,
  and older ones behind it are read too. Kafka forgets the commits of a group that is away for long (7 days by
  default).
- `read_until_ms`, for logic based on time: every event of our partitions that ingest acknowledged and that
  was received before that moment has been polled. It does not advance while more is waiting in Kafka or in
  the spool of an ingest process, or while Kafka or an ingest process does not answer. It asks all admin ports
  in INGEST_ADMIN_URL; list every process there, or a name that resolves to all. See `received_until`.

Not guaranteed: that an event arrives only once, or that an event whose body takes over five minutes
(KAFKA_MAX_POLL_INTERVAL_MS) is not repeated elsewhere meanwhile. When the topic gets more partitions, an app
or a device may move to one of another member, but what you remember of it does not move. `read_until_ms`
relies on ingest's clocks, and is off by as much as one is set back; if INGEST_ADMIN_URL is `none`, it ignores
spools.
"""

from consumers.kit.command import run
from consumers.kit.offset_tracker import Hold
from consumers.kit.stream import Events, events

__all__ = ["Events", "Hold", "events", "run"]
