"""A folder -> three supervised Kafka brokers on this machine, each with a controller.

Invariants: by the brokers' defaults every topic has three replicas and `min.insync.replicas=2`. A killed
broker keeps the kernel's page cache: SIGKILL is not a power cut. Source: Kafka's documentation of KRaft; the
command is the one-machine stack's.
"""

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.local import kafka, services, supervise
from deploy.local.services import Service
from deploy.local.settings import Settings
from tests.faults.harness.network import BrokerHost
from tests.support.stack import free_pairs

_PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
controller.listener.names=CONTROLLER
listeners=CLIENTS://{host.clients}:{port},CONTROLLER://{host.peers}:{controller_port},\\
  BROKERS://{host.peers}:{broker_port}
advertised.listeners=CLIENTS://{host.clients}:{advertised},BROKERS://{host.peers}:{broker_port}
listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT,BROKERS:PLAINTEXT
inter.broker.listener.name=BROKERS
log.dirs={log_dir}
auto.create.topics.enable=false
default.replication.factor=3
min.insync.replicas=2
offsets.topic.num.partitions=3
offsets.topic.replication.factor=3
transaction.state.log.num.partitions=1
transaction.state.log.replication.factor=3
transaction.state.log.min.isr=2
share.coordinator.state.topic.num.partitions=1
share.coordinator.state.topic.replication.factor=3
share.coordinator.state.topic.min.isr=2
group.initial.rebalance.delay.ms=0
message.max.bytes=4194304
num.network.threads=2
num.io.threads=4
log.cleaner.dedupe.buffer.size=16777216
replica.lag.time.max.ms=5000
replica.socket.timeout.ms=5000
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
"""
# Any 16 bytes in base64.
_CLUSTER_ID = "dGFwbGluZS1mYXVsdHMtMQ"
_START_SECONDS_MAX = 120.0
BROKERS = ("kafka-1", "kafka-2", "kafka-3")


class Cluster:
    """The brokers."""

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        advertised: Mapping[str, int] | None = None,
        properties: str = "",
        hosts: Mapping[str, BrokerHost] | None = None,
    ) -> None:
        self.names = names
        self._hosts = dict(hosts or dict.fromkeys(names, BrokerHost()))
        self._properties = f"{_PROPERTIES}{properties}"
        self._folder = folder
        pairs = free_pairs(2 * len(names))
        ports = pairs[: len(names)]
        self.ports = dict(zip(self.names, ports, strict=True))
        # A separate port, so that faults of client connections do not affect replication.
        self._broker_ports = dict(zip(self.names, pairs[len(names) :], strict=True))
        self._advertised = self.ports | dict(advertised or {})  # for brokers behind a proxy, the proxy's
        self.servers = ",".join(f"{self._hosts[name].clients}:{port}" for name, port in self.ports.items())
        # of listeners that `properties` may add
        self.secured = ",".join(f"127.0.0.1:{port + 1}" for port in self._broker_ports.values())
        self._running = contextlib.ExitStack()

    def start(self) -> None:
        """Start all, and wait for an acknowledged idempotent write."""
        for part in ("run", "log"):
            (self._folder / part).mkdir(parents=True)
        brokers = [
            Service(name, self._command(node, name), lambda: True) for node, name in enumerate(self.names, 1)
        ]
        supervisor = self._running.enter_context(supervise.running(brokers, self._folder, os.environ))
        # An orderly stop takes half a minute, because the last brokers wait for a lost quorum; so they are
        # killed.
        self._running.callback(supervisor.kill)
        last = Service(self.names[-1], [], lambda: services._produces(self.servers))
        supervise.wait_ready(last, self._folder, supervisor, _START_SECONDS_MAX)

    def stop(self) -> None:
        """Stop all."""
        self._running.close()

    def pid(self, name: str) -> int:
        """Return a broker's process id."""
        return int((self._folder / "run" / f"{name}.pid").read_text())

    def _command(self, node: int, name: str) -> list[str]:
        folder, port = self._folder / name, self.ports[name]
        cache = Settings.from_env(os.environ).cache_dir
        java = kafka.jvm(folder, cache, _say)
        properties = folder / "server.properties"
        voters = ",".join(
            f"{n}@{self._hosts[one].peers}:{p + 1}" for n, (one, p) in enumerate(self.ports.items(), 1)
        )
        properties.write_text(
            self._properties.format(
                node=node,
                host=self._hosts[name],
                voters=voters,
                port=port,
                advertised=self._advertised[name],
                controller_port=port + 1,
                broker_port=self._broker_ports[name],
                secured_port=self._broker_ports[name] + 1,
                log_dir=folder / "log",
            )
        )
        kafka.format_folder(java, properties, _CLUSTER_ID)
        return [*self._hosts[name].entry, *java, "kafka.Kafka", str(properties)]


def _say(text: str) -> None:
    sys.stderr.write(f"faults: {text}\n")
