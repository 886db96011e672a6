"""The compared receivers: how to start each, and a check that its acknowledged events are in Kafka.

Invariant: each has the same core, and a topic of its own with as many partitions and the same settings as
Tapline's events; only one gets requests at a time.
"""

import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from runtime.kafka import topic_contract, topics
from tests.bench.contender import Contender, python
from tests.bench.load import Load, Target
from tests.bench.report import say
from tests.support.process import free_port
from tests.support.stack import ROOT
from tests.support.topic import end_offsets, messages_since, value_of
from tests.support.waiting import eventually

_INGEST_PATH = "/tapcart_webhooks/secret-of-the-tests"
_ID = re.compile(rb"bench-[0-9a-f]{10}")
_BENTHOS = Path(__file__).parent / "benthos"
_PROGRAM = Path(os.environ.get("TAPLINE_CACHE") or ROOT / ".cache") / "bench" / "benthos"


class LostError(AssertionError):
    """Kafka lacks events that a receiver acknowledged."""


@dataclass(slots=True)
class Receiver:
    """A running receiver."""

    name: str
    process: Contender
    target: Target
    topic: str = ""  # none: it stores nothing
    admin_port: int = 0  # tapline's metrics


def names(*, builds: bool) -> list[str]:
    """Return all that can run here; `builds`: missing programs are built, which takes a minute."""
    found = [
        "limit",
        "passthrough",
        "passthrough batched",
        "usual",
        "usual lingering",
        "naive",
        "naive validate",
    ]
    found += ["benthos", "tapline"]
    if missing := _benthos_missing(builds=builds):
        say(f"benthos: not measured: {missing}")
        found.remove("benthos")
    return found


@contextmanager
def running(kafka: str, folder: Path, wanted: Sequence[str]) -> Iterator[dict[str, Receiver]]:
    """Yield receivers by name, all of them ready."""
    with ExitStack() as stack:
        found = {}
        for name in wanted:
            port, admin_port, topic = free_port(), free_port(), _topic(name)
            if name != "tapline" and topic:
                _make_topic(kafka, topic)
            own = folder / name.replace(" ", "-")
            own.mkdir()
            process = _contender(name, kafka, own, (port, admin_port), topic)
            process.start(port)
            stack.callback(process.stop)
            if topic:  # ingest itself creates it
                eventually(partial(end_offsets, kafka, topic))
            path = _INGEST_PATH if name == "tapline" else "/"
            found[name] = Receiver(name, process, Target(port, path), topic, admin_port)
        yield found


def ingest(name: str, kafka: str, folder: Path, tree: Path) -> Receiver:
    """Start ingest of the checkout `tree`; return once it listens."""
    ports, own = (free_port(), free_port()), folder / f"ingest-{name}"
    own.mkdir()
    process = Contender(name, python("ingest"), own, _ingest_env(kafka, own, ports), tree=tree)
    process.start(ports[0])
    return Receiver(name, process, Target(ports[0], _INGEST_PATH), topics.EVENTS, ports[1])


def check(kafka: str, receiver: Receiver, before: dict[int, int], load: Load, *, ids: bool) -> None:
    """Compare acknowledged events with the topic since `before`; `ids`: one by one. Raises: LostError."""
    if not receiver.topic:
        return
    acknowledged, first = len(load.acknowledged), sum(before.values())
    # Events that ingest spooled because Kafka was slow arrive a moment later.
    what = f"{receiver.name} acknowledged {acknowledged}, and Kafka has them"
    eventually(lambda: sum(end_offsets(kafka, receiver.topic).values()) - first >= acknowledged, 60, what)
    if ids:
        there = {
            found[0]
            for m in messages_since(kafka, receiver.topic, before)
            if (found := _ID.search(value_of(m)))
        }
        if missing := set(load.acknowledged) - there:
            raise LostError(f"{receiver.name}: {len(missing)} acknowledged events are not in Kafka")


def _topic(name: str) -> str:
    if name == "limit":
        return ""
    return topics.EVENTS if name == "tapline" else f"bench.{name.replace(' ', '.')}"


def _contender(name: str, kafka: str, folder: Path, ports: tuple[int, int], topic: str) -> Contender:
    env = {"BENCH_PORT": str(ports[0]), "BENCH_KAFKA": kafka, "BENCH_TOPIC": topic}
    if name == "benthos":
        command = [str(_PROGRAM), "-c", str(_BENTHOS / "config.yaml")]
        return Contender(name, command, folder, env | {"GOMAXPROCS": "1"})
    if name == "tapline":
        return Contender(name, python("ingest"), folder, _ingest_env(kafka, folder, ports))
    module, *arguments = name.split()
    return Contender(name, python(f"tests.bench.receivers.{module}", *arguments), folder, env)


def _ingest_env(kafka: str, folder: Path, ports: tuple[int, int]) -> dict[str, str]:
    return {
        "INGEST_PORT": str(ports[0]),
        "INGEST_ADMIN_PORT": str(ports[1]),
        "INGEST_TOKENS": "secret-of-the-tests",
        "INGEST_SPOOL_DIR": str(folder / "spool"),
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
    }


def _make_topic(kafka: str, topic: str) -> None:
    config = {"flush.messages": "1"}
    wanted = NewTopic(topic, topic_contract.PARTITIONS[topics.EVENTS], config=config)
    admin = AdminClient({"bootstrap.servers": kafka})  # a future is void once its client is gone
    admin.create_topics([wanted])[topic].result()


def _benthos_missing(*, builds: bool) -> str:
    """Return why Benthos cannot run, nothing once its program is there."""
    if _PROGRAM.exists():
        return ""
    if not builds:
        return "it is not built yet; a full run does so"
    try:
        subprocess.run(["go", "version"], capture_output=True, check=True)
        say("benthos: building it, once; it takes a minute")
        _PROGRAM.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["go", "build", "-o", str(_PROGRAM), "."], cwd=_BENTHOS, check=True)
    except OSError:
        return "there is no Go on this machine"
    except subprocess.CalledProcessError as error:
        return f"Go could not build it (status {error.returncode}, see above)"
    return ""
