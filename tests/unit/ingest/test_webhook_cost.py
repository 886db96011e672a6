"""The webhook calls few functions for a request: a cost that no busy machine changes."""

import sys
from collections.abc import Callable, Coroutine
from typing import Any, cast

from starlette.types import Message, Scope

from ingest.delivery.record import OutgoingRecord
from ingest.http.access import PATH, SenderAccess
from ingest.http.receive import Receiver
from ingest.http.webhook import Webhook
from ingest.metrics import Metrics
from ingest.settings import Settings
from schemas.catalog.catalog import Catalog
from tests.support.process import SAMPLES

_URL = f"{PATH}/secret-of-the-tests"
# Python functions and coroutines entered: 35, and 55 with a Response for each answer, the counters of
# prometheus_client, and a wrapper around the publisher.
_CALLS_MAX = 38
_NAMES = (b"host", b"user-agent", b"accept", b"content-type", b"content-length")


class _Kept:
    """A publisher that keeps every record at once."""

    async def publish(self, _: OutgoingRecord) -> str:
        return "kafka"


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run what never waits."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError


def calls_of(work: Callable[[], None]) -> int:
    """Count the Python functions that `work` enters."""
    entered = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal entered
        entered += event == "call"

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(before)
    return entered


def test_a_post_enters_few_functions() -> None:
    """From the ASGI call to the answer, with decoding and encoding."""
    catalog = Catalog.load()
    metrics, receiver = Metrics(), Receiver(catalog)
    settings = Settings.from_env(
        {"INGEST_TOKENS": "secret-of-the-tests", "KAFKA_BOOTSTRAP_SERVERS": "kafka:9092"}
    )
    access = SenderAccess(settings.tokens, (), ())
    webhook = Webhook(settings, receiver, access, cast("Any", _Kept()), metrics)
    body = (SAMPLES / "AppOpened.json").read_bytes()
    message: Message = {"type": "http.request", "body": body, "more_body": False}
    headers = [(name, b"value") for name in _NAMES]
    scope: Scope = {"type": "http", "method": "POST", "path": _URL, "headers": headers}
    scope["raw_path"] = _URL.encode()

    async def receive() -> Message:
        return message

    async def send(_: Message) -> None:
        pass

    run(webhook(scope, receive, send))  # the first one compiles and caches

    assert calls_of(lambda: run(webhook(scope, receive, send))) <= _CALLS_MAX
    assert metrics.requests[200,] == metrics.events["AppOpened", "kafka"] == 2
