"""Each part of each process gets an unexpected exception: the process ends and reports it."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from deploy.local import starts, supervise
from deploy.local.services import Service
from tests.support.process import TOKEN, Ingest, free_port
from tests.support.stack import ROOT, Stack
from tests.support.waiting import eventually, patience
from tests.support.warehouse import Loader, Sender, Tables, body
from tests.support.web import WEB

pytestmark = pytest.mark.slow

LIVE = {
    "look_at_kafka", "look_at_clickhouse", "look_at_ingest", "publish", "schemas", "certificate",
    "server_certificates",
}  # fmt: skip


class Injected:
    """`python -m MODULE`, with failures injected from inside."""

    def __init__(self, folder: Path, module: str, env: Mapping[str, str]) -> None:
        self._file = folder / "broken"
        self._log = folder / "log"
        command = [sys.executable, "-m", "tests.support.injection", str(self._file), module]
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=os.environ | dict(env), stderr=log)

    @property
    def log(self) -> str:
        """Its output."""
        return self._log.read_text()

    @property
    def parts(self) -> set[str]:
        """The tasks that it has started."""
        return set(self._file.with_suffix(".parts").read_text().split())

    def break_part(self, part: str) -> None:
        """Inject an exception."""
        break_part(self._file, part)


def break_part(file: Path, part: str) -> None:
    """Inject an exception into a part: see `tests.support.injection`."""
    new = file.with_suffix(".new")
    new.write_text(part)
    new.replace(file)


@contextmanager
def injected(folder: Path, module: str, env: Mapping[str, str]) -> Iterator[Injected]:
    """Run a process for injected failures, until the block ends."""
    running = Injected(folder, module, env)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def answers(url: str) -> bool:
    """Return whether a process has started."""
    return WEB.get(url, timeout=1).status_code == 200


@pytest.fixture
def live_env(services: Stack) -> dict[str, str]:
    """The settings of a live page, with Kafka and ClickHouse."""
    return {
        "LIVE_PORT": str(free_port()),
        "LIVE_REFRESH_SECONDS": "0.2",
        "LIVE_INGEST_URL": f"http://127.0.0.1:{free_port()}",
        "TAPLINE_PUBLIC_URL": f"https://127.0.0.1:{free_port()}",
        "CLICKHOUSE_URL": services.clickhouse_url,
        "KAFKA_BOOTSTRAP_SERVERS": services.kafka,
    }


@pytest.mark.parametrize("part", sorted(LIVE))
def test_a_part_of_the_live_page_that_fails_ends_it(
    live_env: dict[str, str], tmp_path: Path, part: str
) -> None:
    """Status 1 and the traceback; the list of parts is complete."""
    with injected(tmp_path, "consumers.live", live_env) as live:
        assert eventually(lambda: answers(f"http://127.0.0.1:{live_env['LIVE_PORT']}/healthz"))
        assert live.parts == LIVE
        live.break_part(part)

        assert live.process.wait(30 * patience()) == 1
        assert f'"part": "{part}"' in live.log
        assert "InjectedError" in live.log
        assert '"event": "live_stopped"' in live.log


def loader(services: Stack, folder: Path, **env: str) -> Loader:
    """Return a loader for injected failures, not started yet."""
    command = ("-m", "tests.support.injection", str(folder / "broken"), "consumers.warehouse")
    return Loader(services.kafka, services.clickhouse_url, folder, env, command)


@pytest.mark.parametrize(
    "part", ["consumers.warehouse.load.loader:Loader._note", "consumers.warehouse.load.flush:Flusher.write"]
)
def test_a_part_of_the_loader_that_fails_ends_it(services: Stack, tmp_path: Path, part: str) -> None:
    """The loop and the writer thread; the next loader loads their records."""
    sender, app = Sender(services.kafka), f"app-{uuid.uuid4()}"
    first = loader(services, tmp_path).start()
    break_part(tmp_path / "broken", part)
    sender.events(body(app_id=app))

    assert first.process.wait(30 * patience()) == 1
    assert "InjectedError" in first.log.read_text()
    second = loader(services, tmp_path).start()
    Tables(services.clickhouse_url).wait(f"SELECT count() FROM tapcart.app_opened WHERE app_id = '{app}'", 1)
    assert second.stop() == 0


def test_metrics_that_fail_do_not_end_the_loader(services: Stack, tmp_path: Path) -> None:
    """The failure is logged; a loader without metrics still loads."""
    sender, app = Sender(services.kafka), f"app-{uuid.uuid4()}"
    running = loader(services, tmp_path).start()
    break_part(tmp_path / "broken", "metrics")
    eventually(lambda: '"event": "no_metrics"' in running.log.read_text(), what="it says so")
    sender.events(body(app_id=app))
    Tables(services.clickhouse_url).wait(f"SELECT count() FROM tapcart.app_opened WHERE app_id = '{app}'", 1)

    assert "InjectedError" in running.log.read_text()
    assert running.stop() == 0


def test_a_port_for_metrics_that_is_taken_does_not_keep_the_loader_from_loading(
    services: Stack, tmp_path: Path
) -> None:
    """Nor a consumer of the kit, with the same server."""
    sender, app = Sender(services.kafka), f"app-{uuid.uuid4()}"
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        running = loader(services, tmp_path, WAREHOUSE_METRICS_PORT=port).start(wait=False)
        sender.events(body(app_id=app))
        Tables(services.clickhouse_url).wait(
            f"SELECT count() FROM tapcart.app_opened WHERE app_id = '{app}'", 1
        )

    assert running.stop() == 0
    assert (
        f'"event": "no_metrics", "setting": "WAREHOUSE_METRICS_PORT", "host": "127.0.0.1", "port": {port}'
        in (running.log.read_text())
    )


INGEST = {"audit", "publisher", "schemas", "tokens", "topics"}
OF_INGEST = [
    *sorted(INGEST),
    "kafka-poll",  # a thread
    "ingest.delivery.producer:KafkaProducer.oldest_seconds",  # the publisher's watch
    "ingest.delivery.topic_keeper:TopicKeeper.ensure",  # its drain
]


@contextmanager
def ingest(folder: Path) -> Iterator[tuple[Injected, Ingest]]:
    """Run an ingest for injected failures, with its addresses; its Kafka is down."""
    made = Ingest(f"127.0.0.1:{free_port()}", folder)
    env = made.settings | {"INGEST_SPOOL_DIR": str(folder / "spool")}
    with injected(folder, "ingest", env) as running:
        assert eventually(lambda: answers(f"{made.admin_url}/readyz")), running.log
        yield running, made


@pytest.mark.parametrize("part", OF_INGEST)
def test_a_part_of_ingest_that_fails_ends_it(tmp_path: Path, part: str) -> None:
    """Status 1 and the traceback; the list of tasks is complete."""
    with ingest(tmp_path) as (running, _):
        assert running.parts == INGEST
        running.break_part(part)

        assert running.process.wait(30 * patience()) == 1
        assert '"event": "part_failed"' in running.log
        assert "InjectedError" in running.log, running.log


def test_a_fault_in_the_spools_writer_ends_ingest(tmp_path: Path) -> None:
    """Its pending data is not answered 200."""
    with ingest(tmp_path) as (running, made):
        running.break_part("ingest.delivery.segment_writer:SegmentWriter.write")
        eventually(lambda: WEB.post(made.url, content=body()).status_code == 500, what="the writer is broken")

        assert running.process.wait(30 * patience()) == 1
        assert "InjectedError" in running.log, running.log


def test_what_ingest_began_to_take_is_kept_when_a_part_fails(tmp_path: Path) -> None:
    """A body in flight is answered 200, and is in the spool."""
    event = body()
    lines = f"POST /tapcart_webhooks/{TOKEN} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(event)}\r\n\r\n"
    head = lines.encode()
    with (
        ingest(tmp_path) as (running, made),
        socket.create_connection(("127.0.0.1", made.port), 20) as sender,
    ):
        sender.sendall(head + event[:100])
        running.break_part("schemas")
        eventually(lambda: "part_failed" in running.log, what="a part fails")
        sender.sendall(event[100:])

        assert sender.recv(1000).startswith(b"HTTP/1.1 200 ")
        assert running.process.wait(30 * patience()) == 1
    assert sum(path.stat().st_size for path in (tmp_path / "spool").glob("*.spool")) > 0


@contextmanager
def supervised(folder: Path, env: Mapping[str, str], *command: str) -> Iterator[Path]:
    """Run a command under the stack's supervisor; yield the folder of ids and starts."""
    for part in ("run", "log"):
        (folder / part).mkdir()
    service = Service("live", [sys.executable, *command], lambda: True)
    with supervise.running([service], folder, os.environ | dict(env)):
        yield folder / "run"


def test_a_process_that_fails_is_started_again(live_env: dict[str, str], tmp_path: Path) -> None:
    """By the supervisor, at once, and counted."""
    url, file = f"http://127.0.0.1:{live_env['LIVE_PORT']}/healthz", tmp_path / "broken"
    command = ("-m", "tests.support.injection", str(file), "consumers.live")
    with supervised(tmp_path, live_env, *command) as run:
        assert eventually(lambda: answers(url), 30)
        pid = (run / "live.pid").read_text()
        break_part(file, "publish")
        eventually(lambda: (run / "live.pid").read_text() != pid, what="another process")

        assert eventually(lambda: answers(url), 30)
        assert (starts.read(run, "live") or starts.Start(0, 0, 0)).count == 2
    assert "InjectedError" in (tmp_path / "log" / "live.log").read_text()


def test_what_ends_as_it_starts_is_tried_for_ever(tmp_path: Path) -> None:
    """With growing pauses; once the cause is gone it runs."""
    cause = tmp_path / "cause"
    cause.touch()
    code = f"import os, sys, time; os.path.exists({str(cause)!r}) and sys.exit(2); time.sleep(60)"
    with supervised(tmp_path, {}, "-c", code) as run:
        eventually(lambda: (starts.read(run, "live") or starts.Start(0, 0, 0)).count >= 4, what="four starts")
        start = starts.read(run, "live")
        cause.unlink()
        eventually(lambda: runs_on(run), what="it runs")

    assert start
    assert start.pause_seconds >= 2.0


def test_a_process_that_was_stopped_comes_back_at_once(tmp_path: Path) -> None:
    """However often: it ended in order, with exit status 0."""
    ends = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))"
    code = f"import signal, sys, time; {ends}; print('up', flush=True); time.sleep(60)"
    log = tmp_path / "log" / "live.log"
    with supervised(tmp_path, {}, "-c", code) as run:
        for count in range(1, 6):
            eventually(partial(has_started, log, count), what="it is up")
            os.kill(int((run / "live.pid").read_text()), signal.SIGTERM)
        eventually(partial(has_started, log, 6), what="it is back")
        start = starts.read(run, "live")

    assert start
    assert (start.count, start.pause_seconds) == (6, 0.0)


def has_started(log: Path, count: int) -> bool:
    """Return whether a process has started that often."""
    return log.exists() and log.read_text().count("up") == count


def runs_on(run: Path) -> bool:
    """Return whether the last start was successful."""
    start = starts.read(run, "live")
    return start is not None and time.time() - start.at > 3.5
