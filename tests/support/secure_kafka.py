"""A broker set up as deploy/security/README.md says: TLS by a private authority, SCRAM, ACLs."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient

from deploy.local import kafka
from tests.support.stack import ROOT, free_pairs
from tests.support.waiting import eventually

_NODE = """
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
advertised.listeners=CLIENTS://127.0.0.1:{port}
log.dirs={folder}/log
offsets.topic.num.partitions=1
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
log.flush.interval.messages=1
message.max.bytes=4194304
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
"""


@dataclass(frozen=True, slots=True)
class SecureKafka:
    """A running broker, and the files of its clients."""

    port: int
    folder: Path  # ca.pem, <user>.password
    log: Path

    def env(self, user: str) -> dict[str, str]:
        """Return the settings of a client that logs in as `user`."""
        return {
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{self.port}",
            "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
            "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
            "KAFKA_SASL_USERNAME": user,
            "KAFKA_SASL_PASSWORD_FILE": str(self.folder / f"{user}.password"),
            "KAFKA_SSL_CA_LOCATION": str(self.folder / "ca.pem"),
        }

    def properties(self, user: str) -> dict[str, str]:
        """Return the same for librdkafka."""
        return {
            "bootstrap.servers": f"127.0.0.1:{self.port}",
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "SCRAM-SHA-512",
            "sasl.username": user,
            "sasl.password": (self.folder / f"{user}.password").read_text(),
            "ssl.ca.location": str(self.folder / "ca.pem"),
        }


def secure(*arguments: object, **env: str) -> "subprocess.CompletedProcess[str]":
    """Run `python -m deploy.security`."""
    return subprocess.run(
        [sys.executable, "-m", "deploy.security", *map(str, arguments)],
        cwd=ROOT, env=os.environ | env, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip


@contextmanager
def secure_kafka(folder: Path) -> Iterator[SecureKafka]:
    """Run a broker with the users of deploy/security, and one more without any right, `nobody`."""
    made = secure("certificates", folder, "kafka=localhost,127.0.0.1")
    assert made.returncode == 0, made.stderr
    (port,) = free_pairs(1)
    for user in ("admin", "nobody"):
        (folder / f"{user}.password").write_text(f"password-of-{user}")
    java = kafka.jvm(folder / "broker", ROOT / ".cache", print)
    properties = _properties(folder, port)
    _format(java, properties)
    found = SecureKafka(port, folder, folder / "kafka.log")
    with found.log.open("wb") as log:
        process = subprocess.Popen([*java, "kafka.Kafka", str(properties)], stdout=log, stderr=log)
    try:
        admin = AdminClient({**found.properties("admin"), "log_level": 0})
        eventually(lambda: admin.list_topics(timeout=2), 60, f"a broker: {found.log.read_text()[-2000:]}")
        users = secure("kafka", folder, **found.env("admin"))
        assert users.returncode == 0, users.stderr
        yield found
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _properties(folder: Path, port: int) -> Path:
    """Write the properties: those of the project, with this node's paths and ports."""
    text = (ROOT / "deploy/security/kafka.properties").read_text()
    for ours, here in (
        ("/etc/kafka/tls", str(folder)),
        ("/etc/kafka/secrets", str(folder)),
        ("CLIENTS://0.0.0.0:9093", f"CLIENTS://127.0.0.1:{port}"),
        ("CONTROLLER://127.0.0.1:9094", f"CONTROLLER://127.0.0.1:{port + 1}"),
    ):
        assert ours in text
        text = text.replace(ours, here)
    path = folder / "broker/server.properties"
    path.write_text(text + _NODE.format(controller=port + 1, port=port, folder=folder / "broker"))
    return path


def _format(java: list[str], properties: Path) -> None:
    users = [f"SCRAM-SHA-512=[name={user},password=password-of-{user}]" for user in ("admin", "nobody")]
    scram = [word for user in users for word in ("--add-scram", user)]
    command = [
        *java,
        "kafka.tools.StorageTool",
        "format",
        "-t",
        "AAAAAAAAQACAAAAAAAAAAA",
        "-c",
        str(properties),
    ]
    done = subprocess.run([*command, *scram], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
