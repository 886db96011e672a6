"""The topic and `faults.answers` -> events that lie in Kafka in another order than they were accepted in.

An event whose 200 came before another one was first sent must lie before it in their partition; repetitions
aside, so the first record of each counts. While the topic refuses records, those refused keep no place; a
process that is killed before they are in the quarantine leaves them to the next one, which may deliver them
behind their successors. So events that may have been in the spool at that time are not judged. Source: the
invariant of `ingest.delivery.publisher`.
"""

from collections.abc import Iterable, Iterator

import msgspec

from consumers.kit.record import Record
from consumers.warehouse.repair.offset_reader import OffsetRange, OffsetReader
from runtime.kafka import record_headers, record_key, topics
from tests.faults.harness.nemesis import Done
from tests.faults.harness.world import World

_CHUNK_ROWS = 50_000
_REFUSING = "refuse topic"
# How long an event may have been in the spool, and how late a fault may be healed.
_SPOOLED_SECONDS_MAX, _HEALED_SECONDS_MAX = 30, 5
_TABLE = """
CREATE OR REPLACE TABLE faults.log (app_id String, event_id String, partition Int32, offset Int64)
ENGINE = MergeTree ORDER BY (app_id, event_id)
"""
# From the end of a partition towards its beginning: the earliest answer of all that lies behind an event.
_DISORDER = """
WITH (SELECT min(began_us) FROM faults.answers) AS zero_us
SELECT count() AS found, groupArray(3)(concat(app_id, '/', event_id)) AS named FROM (
  SELECT app_id, event_id, began_us, min(acknowledged_us) OVER (
    PARTITION BY app_id, partition ORDER BY first DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
  ) AS acknowledged_behind_us
  FROM (
    SELECT app_id, event_id, partition, min(offset) AS first
    FROM faults.log GROUP BY app_id, event_id, partition
  ) AS log
  INNER JOIN (
    SELECT app_id, event_id, min(began_us) AS began_us, min(acknowledged_us) AS acknowledged_us
    FROM faults.answers GROUP BY app_id, event_id
    HAVING (app_id, event_id) NOT IN (
      SELECT app_id, event_id FROM faults.sent GROUP BY app_id, event_id HAVING uniqExact(number) > 1
    )
  ) AS answers USING (app_id, event_id)
)
WHERE acknowledged_behind_us > 0 AND acknowledged_behind_us < began_us
  AND NOT arrayExists(span -> (began_us - zero_us) / 1e6 BETWEEN span.1 AND span.2, [{spans}])
FORMAT JSONEachRow
"""
_encode = msgspec.json.Encoder().encode


def complaints(world: World, faults: Iterable[Done]) -> Iterator[str]:
    """Yield a complaint if any event overtook another one."""
    excepted = [
        (fault.at - _SPOOLED_SECONDS_MAX, fault.at + fault.seconds + _HEALED_SECONDS_MAX)
        for fault in faults
        if fault.name == _REFUSING
    ]
    spans = ", ".join(f"({start:.2f}, {end:.2f})" for start, end in excepted or [(0, 0)])
    world.sql(_TABLE)
    rows: list[bytes] = []
    for records in _records(world):
        rows += [row for record in records if (row := _row(record))]
        if len(rows) >= _CHUNK_ROWS:
            _insert(world, rows)
            rows = []
    _insert(world, rows)
    found = msgspec.json.decode(world.sql(_DISORDER.format(spans=spans)))
    if int(found["found"]):
        yield f"order: {found['found']} events lie behind later ones, for example {', '.join(found['named'])}"


def _records(world: World) -> Iterator[list[Record]]:
    kafka = OffsetReader(world.kafka_properties, "faults")
    logs = kafka.logs().items()
    yield from kafka.records(
        [
            OffsetRange(topic, number, log.low, log.high)
            for (topic, number), log in logs
            if topic == topics.EVENTS
        ]
    )
    kafka.close()


def _row(record: Record) -> bytes:
    headers = dict(record.headers() or ())
    event_id, app_id = headers.get(record_headers.EVENT_ID), record_key.app_id_of(record.key())
    if not event_id or not app_id:
        return b""
    row = {
        "app_id": app_id.decode(errors="replace"),
        "event_id": event_id.decode(errors="replace"),
        "partition": record.partition(),
        "offset": record.offset(),
    }
    return _encode(row)


def _insert(world: World, rows: list[bytes]) -> None:
    if rows:
        world.sql("INSERT INTO faults.log FORMAT JSONEachRow", b"\n".join(rows))
