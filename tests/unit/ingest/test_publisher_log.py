"""Ingest's log says why it spools, whenever the outage began."""

import asyncio
import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ingest.delivery.publisher import Publisher
from ingest.delivery.topic_keeper import TopicsNotReadyError
from ingest.metrics import Metrics

_REASONS = ("no broker", "no broker", "denied", "no broker")


def test_each_reason_of_an_outage_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Also of one that began before this process did."""
    caplog.set_level(logging.INFO)
    reasons = iter(_REASONS)

    async def ensure() -> None:
        if reason := next(reasons, ""):
            raise TopicsNotReadyError(reason)
        raise asyncio.CancelledError

    async def story() -> None:
        none = cast("Any", None)
        publisher = Publisher(
            cast("Any", SimpleNamespace(pending=0)),
            cast("Any", SimpleNamespace(bytes=0)),
            SimpleNamespace(ensure=ensure),
            none,
            Metrics(),
            acknowledge_seconds_max=2.0,
        )
        await publisher._drain()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(story())
    logged = [(one.message, vars(one)["reason"]) for one in caplog.records]

    assert [*reasons] == []
    assert logged == [("kafka_away", "no broker"), ("kafka_away", "denied")]
