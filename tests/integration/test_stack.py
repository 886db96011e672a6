"""`python -m deploy.local`: its output, its errors, and its child processes."""

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from runtime.kafka import topic_reader
from tests.support.process import Child
from tests.support.stack import ROOT, Stack, alive, free_ports
from tests.support.waiting import eventually, patience


@pytest.fixture
def clickhouse(tmp_path: Path) -> Iterator[Stack]:
    """A stack with only the fastest service, not started yet."""
    stack = Stack(tmp_path / "data", "clickhouse")
    yield stack
    if stack.process and stack.process.poll() is None:
        stack.stop()


def query(stack: Stack, text: str) -> str:
    """Return the answer of ClickHouse."""
    with urllib.request.urlopen(stack.clickhouse_url, text.encode(), timeout=10) as answer:
        return str(answer.read().decode()).strip()


def refused(stack: Stack, status: int = 1) -> str:
    """Return the error of a stack that cannot start."""
    stack.launch()
    assert stack.process
    assert stack.process.stdout
    assert stack.process.wait(60 * patience()) == status
    said = stack.process.stdout.read()
    stack.stop()
    assert said == ""
    return stack.said


def produce(stack: Stack, topic: str, value: bytes) -> None:
    """Wait until Kafka acknowledges `value`; it may be down for a while."""
    failed: list[object] = []
    config: dict[str, str | int | float | bool] = {"bootstrap.servers": stack.kafka, "log_level": 0}
    producer = Producer(config | {"enable.idempotence": True})
    producer.produce(topic, value, on_delivery=lambda error, _: failed.append(error) if error else None)
    assert producer.flush(30) == 0
    assert failed == []


def consume(stack: Stack, topic: str) -> list[bytes | None]:
    """Return all values in a topic of one partition."""
    consumer = Consumer({"bootstrap.servers": stack.kafka, "group.id": "test", "log_level": 0})
    end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=30)[1]
    consumer.assign([TopicPartition(topic, 0, 0)])
    messages = consumer.consume(end, timeout=30) if end else []
    consumer.close()
    return [message.value() for message in messages]


def test_prints_one_ready_line(services: Stack) -> None:
    """With the addresses of the started services."""
    port, kafka = services.env["CLICKHOUSE_PORT"], services.env["KAFKA_PORT"]

    assert (
        services.ready_line == f"ready - clickhouse=http://127.0.0.1:{port} kafka=127.0.0.1:{kafka} live=-\n"
    )


def test_kafka_keeps_no_more_than_the_disk_holds(stack: Stack) -> None:
    """All files of both topics, the segments being written too, fit into what is free or Kafka's."""
    properties = {"bootstrap.servers": stack.kafka}

    def bytes_max() -> int:
        found = topic_reader.read(topic_reader.client(properties), 10).topics.values()
        bounds = ("retention.bytes", "segment.bytes")
        return sum(
            topic.partitions * sum(int(topic.config[name]) for name in bounds)
            for topic in found
            if topic is not None and topic.config is not None
        )

    eventually(lambda: 0 < bytes_max() < shutil.disk_usage(stack.data_dir).free, what="the bound")
    # Unknown until ingest has compared them, which it tries every few seconds.
    eventually(
        lambda: httpx.get(f"{stack.admin_url}/readyz").json()["topic_problems"] == [], 60, "no topic problem"
    )


def test_refuses_a_second_run_on_a_folder(services: Stack) -> None:
    """Even with other ports."""
    second = Stack(services.data_dir, "kafka,clickhouse")

    assert "already runs on the data folder" in refused(second)
    assert alive(services.pid("kafka"))


def test_clickhouse_leaves_the_processor_to_the_others(services: Stack) -> None:
    """A heavy query delays no answer to Tapcart for long."""
    pids = map(services.pid, ("clickhouse", "kafka"))
    clickhouse, kafka = (os.getpriority(os.PRIO_PROCESS, pid) for pid in pids)

    assert clickhouse == kafka + 5


def test_names_taken_ports_and_their_variables(services: Stack, tmp_path: Path) -> None:
    """All of them at once."""
    second = Stack(tmp_path, "kafka,clickhouse", services.env | {"DATA_DIR": str(tmp_path)})
    said = refused(second, 2)

    assert f":{services.env['CLICKHOUSE_PORT']} cannot be bound" in said
    assert "change CLICKHOUSE_PORT" in said
    assert "change KAFKA_PORT" in said


def test_lists_bad_settings(tmp_path: Path) -> None:
    """All of them, without a traceback."""
    own = refused(Stack(tmp_path, env={"INGEST_PORT": "none", "KAFKA_PORT": "-1"}), 2)
    limits = {"INGEST_BODY_BYTES_MAX": "x", "CLICKHOUSE_QUERIES_MAX": "0", "WAREHOUSE_BATCH_ROWS_MAX": "x"}
    others = refused(Stack(tmp_path, env=limits), 2)
    kafka = refused(Stack(tmp_path, env={"KAFKA_FOO_BAR": "1"}), 2)

    assert own.count("INGEST_PORT") == own.count("KAFKA_PORT") == 1
    assert all(others.count(name) == 1 for name in limits)
    assert 'No such configuration property: "foo.bar"' in kafka
    assert "Traceback" not in own + others + kafka


def test_starts_again_with_data_and_token(clickhouse: Stack) -> None:
    """The folder keeps both; the stop was clean."""
    clickhouse.start()
    query(clickhouse, "CREATE TABLE kept (a Int8) ENGINE = MergeTree ORDER BY a")
    query(clickhouse, "INSERT INTO kept VALUES (1)")
    token = (clickhouse.data_dir / "token").read_text()
    assert clickhouse.stop() == 0
    assert list((clickhouse.data_dir / "run").glob("*.pid")) == []

    clickhouse.start()

    assert query(clickhouse, "SELECT a FROM kept") == "1"
    version = (clickhouse.data_dir / "clickhouse" / "engine-version").read_text().strip()
    assert query(clickhouse, "SELECT version()").startswith(f"{version}.")
    assert (clickhouse.data_dir / "token").read_text() == token
    assert stat.S_IMODE((clickhouse.data_dir / "token").stat().st_mode) == 0o600


def test_an_older_engine_refuses_the_folder_of_a_newer_one(clickhouse: Stack) -> None:
    """The stack says so at once, and so does the engine's process started alone."""
    record = clickhouse.data_dir / "clickhouse" / "engine-version"
    record.parent.mkdir(parents=True)
    record.write_text("99.1\n")
    said = refused(clickhouse, 2)
    command = [sys.executable, "-m", "deploy.local.clickhouse"]
    alone = subprocess.run(
        command, cwd=ROOT, env=clickhouse.env, capture_output=True, text=True, check=False, timeout=300
    )

    for text in (said, alone.stderr):
        assert f"ClickHouse 99.1 was the last to open {record.parent}, and 26." in text
        assert "Traceback" not in text
    assert alone.returncode == 2
    assert not (record.parent / "metadata").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_stops_when_asked_while_it_starts(clickhouse: Stack, number: signal.Signals) -> None:
    """Ctrl-C works before the ready line, and is not an error."""
    clickhouse.launch()
    eventually((clickhouse.data_dir / "run" / "clickhouse.pid").exists, what="it starts")
    pid = clickhouse.pid("clickhouse")

    assert clickhouse.stop(number) == 0
    assert not alive(pid)


@pytest.mark.parametrize("victim", ["stack", "supervisord"])
def test_children_end_with_whoever_started_them(clickhouse: Stack, victim: str) -> None:
    """Even if that is killed with -9; the next start works at once."""
    clickhouse.start()
    child, supervisor = clickhouse.pid("clickhouse"), clickhouse.pid("supervisord")
    assert clickhouse.process
    os.kill(clickhouse.process.pid if victim == "stack" else supervisor, signal.SIGKILL)

    assert clickhouse.process.wait(30 * patience()) == (-signal.SIGKILL if victim == "stack" else 1)
    eventually(lambda: not alive(child) and not alive(supervisor), what="all have ended")
    clickhouse.stop()
    clickhouse.start()
    assert query(clickhouse, "SELECT 1") == "1"


@pytest.mark.slow
def test_brings_back_what_was_killed(services: Stack) -> None:
    """Within seconds, with its acknowledged data."""
    topic = f"kept-{time.monotonic_ns()}"
    admin = AdminClient({"bootstrap.servers": services.kafka, "log_level": 0})
    admin.create_topics([NewTopic(topic, 1)])[topic].result(30)
    produce(services, topic, b"before")
    before = {name: services.kill(name) for name in ("kafka", "clickhouse")}
    began = time.monotonic()

    eventually(lambda: query(services, "SELECT 1") == "1", what="ClickHouse is back")
    assert time.monotonic() - began < 10 * patience()
    produce(services, topic, b"after")

    assert consume(services, topic) == [b"before", b"after"]
    assert all(services.pid(name) != pid for name, pid in before.items())


@pytest.mark.slow
def test_the_loader_without_a_port_for_metrics_says_so(services: Stack, tmp_path: Path) -> None:
    """A second stack on a machine starts anyway."""
    outside = {"KAFKA_BOOTSTRAP_SERVERS": services.kafka, "CLICKHOUSE_URL": services.clickhouse_url}
    second = Stack(tmp_path, "warehouse", outside)
    del second.env["WAREHOUSE_METRICS_PORT"]
    with socket.socket() as usual:
        usual.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # By us or by another process: it is taken.
        with contextlib.suppress(OSError):
            usual.bind(("127.0.0.1", 8082))
            usual.listen()
        second.start()
        status = subprocess.run(
            [sys.executable, "-m", "deploy.status"],
            cwd=ROOT, env=second.env, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        second.stop()

    assert "no metrics, because port 8082 is taken" in second.said
    assert "it serves no metrics (WAREHOUSE_METRICS_PORT)" in status.stdout


def test_stops_in_order(tmp_path: Path) -> None:
    """Writers stop before the services they write to."""
    stack = Stack(tmp_path, "kafka,ingest").start()
    assert stack.stop() == 0

    log = (tmp_path / "log" / "supervisord.log").read_text()
    assert log.index("stopped: ingest") < log.index("stopped: kafka")
    assert stack.said.rstrip().endswith("stopping")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_ends_with_make(tmp_path: Path, number: signal.Signals) -> None:
    """`make run` is make and its child: a signal for make alone ends both."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    env |= free_ports() | {"DATA_DIR": str(tmp_path), "ARGS": "--only clickhouse"}
    with Child[bytes](
        ["make", "run"], cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as make:
        assert make.stdout
        assert make.stdout.readline().startswith(b"ready ")
        pids = [int(path.read_text()) for path in (tmp_path / "run").glob("*.pid")]

        make.send_signal(number)

        eventually(lambda: not any(alive(pid) for pid in pids), what="all have ended")
        make.communicate()


# Of a stand-in for the binary.
_VERSION = '[ "$2" = --version ] && echo "ClickHouse server version 26.9.1.1 (official build)." && exit\n'


@pytest.mark.slow
def test_uses_a_clickhouse_on_path(tmp_path: Path) -> None:
    """Instead of the engine: as a server, on the same port, with its own folder."""
    binary = tmp_path / "bin" / "clickhouse"
    binary.parent.mkdir()
    # A stand-in for the binary, of which only the command line is checked.
    binary.write_text(
        f'#!/bin/sh\n{_VERSION}echo "called: $@"\nexec {ROOT}/.venv/bin/python -m deploy.local.clickhouse\n'
    )
    binary.chmod(0o755)
    path = f"{binary.parent}:{os.environ['PATH']}"
    stack = Stack(tmp_path / "data", "clickhouse", {"PATH": path}).start()
    config = tmp_path / "data" / "clickhouse-server" / "config.xml"

    assert f"called: server --config-file={config}" in stack.log("clickhouse")
    assert f"<http_port>{stack.env['CLICKHOUSE_PORT']}</http_port>" in config.read_text()
    assert stack.stop() == 0


@pytest.mark.slow
def test_uses_services_outside(services: Stack, tmp_path: Path) -> None:
    """Their addresses are passed on, and none is started."""
    outside = {"CLICKHOUSE_URL": services.clickhouse_url, "KAFKA_BOOTSTRAP_SERVERS": services.kafka}
    stack = Stack(tmp_path, "kafka,clickhouse", outside).start()

    assert stack.ready_line == services.ready_line
    assert {path.stem for path in (tmp_path / "run").glob("*.pid")} <= {"supervisord", "supervisord-own"}
    assert stack.stop() == 0


@pytest.mark.slow
def test_gives_up_on_what_ends_as_it_starts(tmp_path: Path) -> None:
    """With the end of the log, before the time for a start is over."""
    binary = tmp_path / "bin" / "clickhouse"
    binary.parent.mkdir()
    binary.write_text(f"#!/bin/sh\n{_VERSION}echo no way\nexit 7\n")
    binary.chmod(0o755)
    path = f"{binary.parent}:{os.environ['PATH']}"
    said = refused(Stack(tmp_path / "data", "clickhouse", {"PATH": path}))

    assert "clickhouse ends right after its start" in said
    assert "no way" in said
