"""Brokers set up as deploy/security/README.md says: TLS by a private authority, SCRAM, ACLs."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from confluent_kafka.admin import AdminClient

from deploy.local import kafka
from tests.support.stack import ROOT, free_pairs
from tests.support.waiting import eventually

_NODE = """
node.id={node}
controller.quorum.voters={voters}
advertised.listeners=CLIENTS://127.0.0.1:{port}
log.dirs={folder}/log
default.replication.factor={replicas}
min.insync.replicas={in_sync}
offsets.topic.num.partitions=1
offsets.topic.replication.factor={replicas}
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor={replicas}
transaction.state.log.min.isr={in_sync}
group.initial.rebalance.delay.ms=0
message.max.bytes=4194304
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
"""
# One broker has no replica, so it must sync a record before acknowledging it.
_ALONE = "log.flush.interval.messages=1\n"
_CLUSTER_ID = "AAAAAAAAQACAAAAAAAAAAA"
_START_SECONDS_MAX, _STOP_SECONDS_MAX = 120, 120


@dataclass(frozen=True, slots=True)
class SecureKafka:
    """Running brokers, and the files of their clients."""

    ports: Sequence[int]
    folder: Path  # ca.pem, <user>.password, broker-<node>.log
    _processes: "dict[int, subprocess.Popen[bytes]]" = field(default_factory=dict)

    @property
    def servers(self) -> str:
        """Their addresses."""
        return ",".join(f"127.0.0.1:{port}" for port in self.ports)

    @property
    def nodes(self) -> range:
        """Their numbers."""
        return range(1, len(self.ports) + 1)

    def env(self, user: str) -> dict[str, str]:
        """Return the settings of a client that logs in as `user`."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": self.servers,
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD_FILE": str(self.folder / f"{user}.password"),
            "KAFKA_SSL_CA_LOCATION": str(self.folder / "ca.pem"),
        }

    def properties(self, user: str) -> dict[str, str]:
        """Return the same for librdkafka."""
        return {
            "bootstrap.servers": self.servers,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": (self.folder / f"{user}.password").read_text(),
            "ssl.ca.location": str(self.folder / "ca.pem"),
        }

    def admin(self) -> AdminClient:
        """Return a client with all rights."""
        return AdminClient({**self.properties("admin"), "log_level": 0})

    def start(self, node: int) -> None:
        """Start a broker."""
        java = kafka.jvm(self.folder / f"broker-{node}", ROOT / ".cache", print)
        line = [*java, "kafka.Kafka", str(self.folder / f"broker-{node}/server.properties")]
        with (self.folder / f"broker-{node}.log").open("ab") as log:
            self._processes[node] = subprocess.Popen(line, stdout=log, stderr=log)

    def stop(self, node: int) -> None:
        """Stop a broker in order: its partitions get other leaders first."""
        self._processes[node].send_signal(signal.SIGTERM)
        self._processes[node].wait(_STOP_SECONDS_MAX)

    def kill(self) -> None:
        """Kill all: without a quorum, the last ones would wait."""
        for process in self._processes.values():
            process.kill()
            process.wait()

    def is_whole(self) -> bool:
        """Return whether every broker is there and every replica in sync."""
        metadata = self.admin().list_topics(timeout=5)
        partitions = [one for topic in metadata.topics.values() for one in topic.partitions.values()]
        return len(metadata.brokers) == len(self.ports) and all(
            one.leader > 0 and len(one.isrs) == len(one.replicas) for one in partitions
        )


def secure(*arguments: object, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run `python -m deploy.security`."""
    return subprocess.run(
        [sys.executable, "-m", "deploy.security", *map(str, arguments)],
        cwd=ROOT, env=os.environ | env, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@contextmanager
def secure_kafka(folder: Path, brokers: int = 1) -> Iterator[SecureKafka]:
    """Run brokers with the users of deploy/security, and one more without any right, `nobody`."""
    made = secure("certificates", folder, "kafka=localhost,127.0.0.1")
    assert made.returncode == 0, made.stderr
    for user in ("admin", "nobody"):
        (folder / f"{user}.password").write_text(f"password-of-{user}")
    found = SecureKafka(free_pairs(brokers), folder)
    for node in found.nodes:
        _format(found, node)
    try:
        for node in found.nodes:
            found.start(node)
        what = f"brokers: {(folder / 'broker-1.log').read_text()[-2000:]}"
        eventually(
            lambda: len(found.admin().list_topics(timeout=2).brokers) == brokers, _START_SECONDS_MAX, what
        )
        users = secure("kafka", folder, **found.env("admin"))
        assert users.returncode == 0, users.stderr
        yield found
    finally:
        found.kill()


def _format(found: SecureKafka, node: int) -> None:
    """Write a broker's properties, those of the project with this node's paths and ports, and its folder."""
    port, folder = found.ports[node - 1], found.folder / f"broker-{node}"
    java = kafka.jvm(folder, ROOT / ".cache", print)
    text = (ROOT / "deploy/security/kafka.properties").read_text()
    for ours, here in (
        ("/etc/kafka/tls", str(found.folder)),
        ("/etc/kafka/secrets", str(found.folder)),
        ("CLIENTS://0.0.0.0:9093", f"CLIENTS://127.0.0.1:{port}"),
        ("CONTROLLER://127.0.0.1:9094", f"CONTROLLER://127.0.0.1:{port + 1}"),
    ):
        assert ours in text
        text = text.replace(ours, here)
    text += _NODE.format(
        node=node,
        voters=",".join(f"{n}@127.0.0.1:{found.ports[n - 1] + 1}" for n in found.nodes),
        port=port,
        folder=folder,
        replicas=len(found.ports),
        in_sync=min(2, len(found.ports)),
    )
    properties = folder / "server.properties"
    properties.write_text(text + (_ALONE if len(found.ports) == 1 else ""))
    users = [f"SCRAM-SHA-512=[name={user},password=password-of-{user}]" for user in ("admin", "nobody")]
    scram = [word for user in users for word in ("--add-scram", user)]
    tool = ["kafka.tools.StorageTool", "format", "-t", _CLUSTER_ID, "-c", str(properties), *scram]
    done = subprocess.run([*java, *tool], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
