"""The effect of one sender's events on ClickHouse's files, with few descriptors."""

import gzip
import json
import random
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.process import SAMPLES
from tests.support.stack import Stack
from tests.support.warehouse import Tables
from tests.support.web import WEB

pytestmark = pytest.mark.slow

DESCRIPTORS = 1024
# Nearly a megabyte for a thousand of them, but a few kilobytes compressed.
LONG = "x" * 2000
KINDS: list[Any] = [
    LONG,
    [LONG],
    {"y": [LONG]},
    [[LONG]],
    1,
    1.5,
    True,
    [1],
    [1.5],
    [True],
    [[1]],
    [{"x": 1}],
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack whose processes may open 1,024 files each, as in many login shells."""
    running = Stack(tmp_path_factory.mktemp("bounds"))
    running.command = ["sh", "-c", f'ulimit -n {DESCRIPTORS} && exec "$@"', "sh", *running.command]
    try:
        yield running.start()
    finally:
        running.stop()


def event(name: str, **changes: Any) -> bytes:
    """Return a sample's body with an id of its own."""
    sent: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    return json.dumps(sent | {"event_id": str(uuid.uuid4())} | changes).encode()


def test_a_thousand_members_of_mixed_kinds_cost_no_other_app_anything(stack: Stack) -> None:
    """They once made parts of thousands of files, after which no insert into any table worked."""
    rng = random.Random(1)
    tables = Tables(stack.clickhouse_url)
    for number in range(20):
        properties = {f"m{index}": rng.choice(KINDS) for index in range(1000)}
        body = event("AppOpened", app_id="wild", event_type=f"Wild{number % 3}", event_properties=properties)
        answer = WEB.post(stack.ingest_url, content=gzip.compress(body), headers={"content-encoding": "gzip"})
        assert answer.status_code == 200
    for _ in range(20):
        assert WEB.post(stack.ingest_url, content=event("OrderCreated", app_id="tame")).status_code == 200
    tables.wait("SELECT count() FROM tapcart.events WHERE app_id = 'tame'", 20, 120)
    tables.wait("SELECT count() FROM tapcart.unmodelled WHERE app_id = 'wild'", 20, 120)
    tables.run("OPTIMIZE TABLE tapcart_raw.unmodelled FINAL")
    parts = "system.parts WHERE active AND database = 'tapcart_raw' AND table = 'unmodelled'"

    assert f"only {DESCRIPTORS} files may be open at once" in stack.said
    assert tables.one(f"SELECT max(files) FROM {parts}") < 32
    assert tables.one("SELECT count() FROM tapcart.quarantine") == 0
    read = "SELECT count(event_properties.m7), count(event_properties.m993) FROM tapcart.unmodelled"
    assert tables.rows(f"{read} WHERE app_id = 'wild'")[0] == [20, 20]
