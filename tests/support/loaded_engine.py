"""A ClickHouse of its own, one server or two shards, that a loader without Kafka fills."""

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from consumers.kit.decode import Refusal
from consumers.kit.erasures.follower import NobodyErased
from consumers.warehouse.load.wiring import LoaderParts
from consumers.warehouse.settings import Settings
from runtime.kafka import topics
from schemas.catalog.schema_reloader import SchemaReloader
from tests.support.process import Child, free_port
from tests.support.sharded_engine import CLUSTER
from tests.support.stack import ROOT
from tests.support.waiting import eventually
from tests.support.warehouse import Tables, message
from tests.support.web import WEB

LOG = 7


@dataclass(frozen=True)
class LoadedEngine:
    """The engine, and a loader without Kafka."""

    url: str
    settings: Settings
    parts: LoaderParts
    tables: Tables

    def load(self, *events: bytes, at: int = 0) -> int:
        """Load events as records of one partition, from the offset `at` on, in two batches."""
        records = [message(event, at + offset) for offset, event in enumerate(events)]
        half = len(records) // 2
        logs = {topics.EVENTS: LOG}
        return sum(sum(self.parts.load([some], logs)) for some in (records[:half], records[half:]))


class NothingRefused:
    """In place of the quarantine topic."""

    def write(self, refusals: Sequence[Refusal]) -> list[Refusal]:
        """Fail: the events are right."""
        raise AssertionError([(one.reason, one.detail) for one in refusals])


@contextmanager
def one_server(folder: Path) -> Iterator[LoadedEngine]:
    """Run the stack's own ClickHouse."""
    with _running(folder, "deploy.local.clickhouse", "") as engine:
        yield engine


@contextmanager
def two_shards(folder: Path) -> Iterator[LoadedEngine]:
    """Run an engine that is a cluster."""
    with _running(folder, "tests.support.sharded_engine", CLUSTER) as engine:
        yield engine


@contextmanager
def _running(folder: Path, module: str, cluster: str) -> Iterator[LoadedEngine]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    env = {"CLICKHOUSE_PORT": str(port), "DATA_DIR": str(folder)}
    with Child([sys.executable, "-m", module], cwd=ROOT, env=os.environ | env) as engine:
        eventually(lambda: _answers(url), 120)
        env = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9", "CLICKHOUSE_URL": url, "DATA_DIR": str(folder)}
        settings = Settings.from_env(env | {"WAREHOUSE_CLUSTER": cluster})
        parts = LoaderParts(settings, SchemaReloader(settings.schemas_dir))
        parts.flusher._erasures = parts.flusher.inserts._erasures = NobodyErased()
        parts.flusher._quarantine = NothingRefused()
        yield LoadedEngine(url, settings, parts, Tables(url))
        engine.terminate()


def _answers(url: str) -> bool:
    try:
        return WEB.get(f"{url}/ping").is_success
    except OSError:
        return False
