"""Bodies -> rows of the quarantine, as if an earlier release of ingest or the loader had rejected them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from confluent_kafka import Producer

from runtime.kafka import record_headers, topics
from schemas.catalog.catalog import Catalog
from schemas.catalog.wire import checksum
from schemas.codec.events import encode_quarantine
from tests.support.stack import Stack
from tests.support.waiting import eventually
from tests.support.web import WEB

_CATALOG = Catalog.load()


def quarantine(stack: Stack, body: bytes, **fields: Any) -> None:
    """Put a body into the quarantine and wait for its row.

    It is dated yesterday, because a row rejected today by the loader would need a record of today.
    """
    given = {"app_id": "a7Kq2mXw9L", "event_id": None, "reason": "invalid_field", "detail": "an old rule"}
    given |= {"pointer": None, "source": "ingest", "record": None, "body": body} | fields
    yesterday = datetime.now(UTC) - timedelta(days=1)
    value = encode_quarantine(_CATALOG, received_at_ms=round(yesterday.timestamp() * 1000), **given)
    producer = Producer({"bootstrap.servers": stack.kafka})
    producer.produce(topics.QUARANTINE, value, headers=[(record_headers.CRC32, checksum(value))])
    assert producer.flush(10) == 0
    query = f"SELECT count() FROM tapcart.quarantine WHERE body = unhex('{body.hex()}')"
    assert eventually(lambda: WEB.post(stack.clickhouse_url, content=query).text == "1\n")
