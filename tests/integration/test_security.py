"""TLS, logins and rights between the parts: a broker set up by deploy/security, ClickHouse behind HTTPS."""

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from ingest.delivery import topic_keeper
from runtime.kafka import topics
from runtime.kafka.topic_contract import TopicContract
from tests.support.process import TOKEN, free_port
from tests.support.secure_kafka import SecureKafka, secure, secure_kafka
from tests.support.stack import ROOT, Stack
from tests.support.tls import Authority, serving, tls_front
from tests.support.waiting import eventually, patience
from tests.support.warehouse import SAMPLES, Tables, body

pytestmark = pytest.mark.slow

READS = ("warehouse", "live", "kit", "tail", "reconcile")
ALL = ("ingest", *READS)
USERS = {"ingest": "ingest", "warehouse": "loader", "live": "live", "reconcile": "loader"}
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    """A broker with TLS, SCRAM and ACLs."""
    with secure_kafka(tmp_path_factory.mktemp("secure")) as found:
        topic_keeper.create_missing(found.properties("ingest"), TopicContract(), 10)
        yield found


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """ClickHouse alone."""
    running = Stack(tmp_path_factory.mktemp("engine"), "clickhouse").start()
    try:
        yield running
    finally:
        running.stop()


@dataclass
class Site:
    """Our processes with the same settings, each as its own user, and what they say."""

    folder: Path
    kafka: Mapping[str, Mapping[str, str]]  # process -> KAFKA_*
    clickhouse: str = NOWHERE

    def __post_init__(self) -> None:
        self.ports = {name: free_port() for name in ("public", *ALL)}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, *names: str) -> "Site":
        """Start processes."""
        modules = {
            "ingest": ["ingest"],
            "warehouse": ["consumers.warehouse"],
            "live": ["consumers.live"],
            "kit": ["tests.support.kit_consumer", "consumer.test"],
            "tail": ["consumers.tail", "--json", "--since", "2020-01-01"],
            "reconcile": ["consumers.reconcile", "--wait", "1"],
            "doctor": [
                "deploy.doctor",
                "--no-clickhouse",
                f"http://127.0.0.1:{self.ports['public']}/tapcart_webhooks/{TOKEN}",
            ],
        }
        for name in names:
            with (self.folder / f"{name}.log").open("wb") as log:
                self.processes[name] = subprocess.Popen(
                    [sys.executable, "-m", *modules[name]],
                    cwd=ROOT,
                    env=os.environ | self._env(name),
                    stdout=log,
                    stderr=log,
                )
        return self

    def _env(self, name: str) -> dict[str, str]:
        return {
            "INGEST_PORT": str(self.ports["public"]),
            "INGEST_ADMIN_PORT": str(self.ports["ingest"]),
            "INGEST_TOKENS": TOKEN,
            "INGEST_SPOOL_DIR": str(self.folder / "spool"),
            "INGEST_ADMIN_URL": self.admin,
            "LIVE_INGEST_URL": self.admin,
            "LIVE_PORT": str(self.ports["live"]),
            "LIVE_REFRESH_SECONDS": "0.2",
            "WAREHOUSE_METRICS_PORT": str(self.ports["warehouse"]),
            "WAREHOUSE_BATCH_AGE_SECONDS_MAX": "0.1",
            "KIT_METRICS_PORT": str(self.ports["kit"]),
            "CLICKHOUSE_URL": self.clickhouse,
            **self.kafka.get(name, {}),
        }

    @property
    def admin(self) -> str:
        """Ingest's admin port."""
        return f"http://127.0.0.1:{self.ports['ingest']}"

    def log(self, name: str) -> str:
        """Return everything a process wrote."""
        return (self.folder / f"{name}.log").read_text()

    def readiness(self, name: str) -> str:
        """Return the answer of `/readyz`."""
        return httpx.get(f"http://127.0.0.1:{self.ports[name]}/readyz").text

    def post(self, event: bytes) -> dict[str, object]:
        """Post an event; return ingest's answer."""
        url = f"http://127.0.0.1:{self.ports['public']}/tapcart_webhooks/{TOKEN}"
        answer: dict[str, object] = httpx.post(url, content=event).raise_for_status().json()
        return answer

    def stop(self) -> None:
        """Kill what still runs."""
        for process in self.processes.values():
            process.kill()
            process.wait()


def env_of(broker: SecureKafka, **changes: str) -> dict[str, dict[str, str]]:
    """Return KAFKA_* of each process, with the same changes; "": without that variable."""
    found = {}
    for name in ALL:
        env = broker.env(USERS.get(name, "consumer")) | changes
        found[name] = {variable: value for variable, value in env.items() if value}
    return found


@pytest.fixture
def sites() -> Iterator[ExitStack]:
    """What stops the sites of a test."""
    with ExitStack() as stopping:
        yield stopping


def _contains(ask: Callable[[], str], expected: str) -> bool:
    return expected in ask()


def told(site: Site, expected: str, *names: str) -> None:
    """Check that each of these processes gives one clear sentence, once, without a secret."""
    site.start(*names)
    for name in names:
        words = site.log if name in ("tail", "reconcile") else site.readiness
        eventually(partial(_contains, partial(words, name), expected), 40, name)
    if "reconcile" in names:
        assert site.processes["reconcile"].wait(40 * patience()) == 2
    for name in names:
        lines = [line for line in site.log(name).splitlines() if expected in line]
        assert 1 <= len(lines) <= 4, site.log(name)  # a topic and a group may be denied, to two clients
        assert "password-of-" not in site.log(name)
    site.start("doctor")
    site.processes["doctor"].wait(40 * patience())
    assert expected in site.log("doctor")


@pytest.mark.parametrize("fault", ["password", "mechanism", "authority", "plaintext", "address", "expired"])
def test_every_process_says_in_one_sentence_why_kafka_cannot_be_used(
    broker: SecureKafka, engine: Stack, fault: str, tmp_path: Path, sites: ExitStack
) -> None:
    """With the setting to change; ingest keeps events in its spool meanwhile.

    All processes for one login, and for one that is denied; two of them, and the doctor, for other faults.
    """
    authority = Authority(tmp_path)
    changes, expected = {
        "password": (
            {"KAFKA_SASL_PASSWORD_FILE": "", "KAFKA_SASL_PASSWORD": "password-of-a-mistake"},
            "by SCRAM-SHA-512: correct KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD, KAFKA_SASL_MECHANISM.",
        ),
        "mechanism": (
            {"KAFKA_SASL_MECHANISM": "SCRAM-SHA-256"},
            "Kafka does not offer logins by SCRAM-SHA-256: set KAFKA_SASL_MECHANISM to SCRAM-SHA-512.",
        ),
        "authority": (
            {"KAFKA_SSL_CA_LOCATION": str(authority.path)},
            "has a certificate of an authority that is not in KAFKA_SSL_CA_LOCATION: set the right file.",
        ),
        "plaintext": (
            {"KAFKA_SECURITY_PROTOCOL": "PLAINTEXT"},
            "expects TLS, and KAFKA_SECURITY_PROTOCOL is PLAINTEXT: set it to SASL_SSL or SSL.",
        ),
        "address": (
            {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{free_port()}"},
            "cannot be reached (Connection refused): start it, or correct KAFKA_BOOTSTRAP_SERVERS.",
        ),
        "expired": (
            {"KAFKA_SSL_CA_LOCATION": str(authority.path)},
            "has a certificate that has expired, or its authority's has: renew it on the server.",
        ),
    }[fault]
    if fault == "expired":
        old = sites.enter_context(serving(authority.issue(-1), BaseHTTPRequestHandler))
        changes["KAFKA_BOOTSTRAP_SERVERS"] = f"127.0.0.1:{old.port}"
    site = Site(tmp_path, env_of(broker, **changes), engine.clickhouse_url)
    sites.callback(site.stop)

    told(site, expected, *(ALL if fault == "password" else ("ingest", "tail")))
    assert site.post(SAMPLES["AppOpened"])["kept"] == "spool"


def test_every_process_says_which_right_is_missing(
    broker: SecureKafka, engine: Stack, tmp_path: Path, sites: ExitStack
) -> None:
    """A user without any right: topic, group, and the cluster's right to idempotent writes."""
    nobody = {
        "KAFKA_SASL_USERNAME": "nobody",
        "KAFKA_SASL_PASSWORD_FILE": str(broker.folder / "nobody.password"),
    }
    site = Site(tmp_path, env_of(broker, **nobody), engine.clickhouse_url)
    sites.callback(site.stop)

    told(site, "Kafka denies the user `nobody` a right (", *ALL)
    assert site.post(SAMPLES["AppOpened"])["kept"] == "spool"


def test_a_group_or_a_write_that_is_denied_is_named(
    broker: SecureKafka, tmp_path: Path, sites: ExitStack
) -> None:
    """The live page's user reads the topics but joins no group; the loader's writes no event."""
    live = env_of(broker)["live"]
    site = Site(tmp_path, {"warehouse": live, "ingest": env_of(broker)["warehouse"]})
    sites.callback(site.stop)
    site.start("warehouse", "ingest")

    group = "(GROUP_AUTHORIZATION_FAILED): grant Read on the topics tapcart.events and tapcart.quarantine, "
    eventually(lambda: f"{group}and Read on the group tapline.warehouse" in site.readiness("warehouse"), 40)
    assert eventually(lambda: site.post(SAMPLES["AppOpened"]), 40)["kept"] == "spool"
    denied = "Kafka denies the user `loader` a right (TOPIC_AUTHORIZATION_FAILED): grant Create, "
    eventually(partial(_contains, partial(site.log, "ingest"), denied), 40, site.log("ingest")[-3000:])


def test_events_flow_over_tls_with_the_least_rights(
    broker: SecureKafka, engine: Stack, tmp_path: Path, sites: ExitStack
) -> None:
    """POST, Kafka, loader, HTTPS to ClickHouse, row; the page, a consumer, tail and reconcile read."""
    authority = Authority(tmp_path)
    port = sites.enter_context(tls_front(authority.issue(), urlsplit(engine.clickhouse_url).port or 0))
    url = f"https://default@localhost:{port}/?ca_cert={authority.path}"
    site = Site(tmp_path, env_of(broker), url)
    sites.callback(site.stop)
    site.start("ingest", "warehouse", "live", "kit")
    app = f"app-{uuid.uuid4()}"
    eventually(lambda: '"kafka":"direct"' in site.readiness("ingest"), 60, site.log("ingest")[-3000:])

    assert site.post(body("AppOpened", app_id=app, event_id="secured"))["kept"] == "kafka"
    Tables(engine.clickhouse_url).wait(f"SELECT count() FROM tapcart.events WHERE app_id = '{app}'", 1, 60)
    ready = {"ready": True, "away": {}}
    eventually(lambda: json.loads(site.readiness("live")) == ready, 40, site.readiness("live"))
    eventually(lambda: f"{app} secured" in site.log("kit"), 40, site.log("kit")[-3000:])
    site.start("tail", "reconcile")
    eventually(lambda: app in site.log("tail"), 40, site.log("tail")[-3000:])
    assert site.processes["reconcile"].wait(60 * patience()) == 0, site.log("reconcile")
    assert "nothing is missing" in site.log("reconcile")
    for name in site.processes:
        assert "unusable" not in site.log(name), site.log(name)


def test_no_user_has_a_right_of_another(broker: SecureKafka) -> None:
    """The page cannot write, ingest cannot read, a consumer cannot join the loader's group."""
    events = topics.EVENTS
    for user in ("live", "consumer", "loader"):
        assert write(broker, user, events) == KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert write(broker, "live", topics.QUARANTINE) == KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert write(broker, "ingest", events) is None
    assert read(broker, "ingest", events) == KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert read(broker, "consumer", topics.QUARANTINE) == KafkaError.TOPIC_AUTHORIZATION_FAILED
    for user in ("consumer", "live"):
        assert read(broker, user, events, "tapline.warehouse") == KafkaError.GROUP_AUTHORIZATION_FAILED
    assert read(broker, "consumer", events, "another.group") == KafkaError.GROUP_AUTHORIZATION_FAILED
    for user in ("ingest", "loader", "live", "consumer"):
        done = secure("kafka", broker.folder, **broker.env(user))
        assert done.returncode == 1
        assert done.stderr.startswith(f"secure: Kafka denies the user `{user}` a right")


def write(broker: SecureKafka, user: str, topic: str) -> int | None:
    """Return the error code of a write; None: it was stored."""
    codes: list[int | None] = []
    producer = Producer({**broker.properties(user), "log_level": 0})
    producer.produce(topic, b"", on_delivery=lambda error, _: codes.append(error.code() if error else None))
    producer.flush(20)
    return codes[0]


def read(broker: SecureKafka, user: str, topic: str, group: str = "") -> int:
    """Return the code of the first error of a group's member, or of a reader that joins none."""
    consumer = Consumer({**broker.properties(user), "group.id": group or "none", "log_level": 0})
    if group:
        consumer.subscribe([topic])
    else:
        consumer.assign([TopicPartition(topic, 0, 0)])
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            message = consumer.poll(1)
            error = message.error() if message is not None else None
            if error and (group or error.code() != KafkaError.GROUP_AUTHORIZATION_FAILED):
                return int(error.code())
    except KafkaException as error:
        return int(error.args[0].code())
    finally:
        consumer.close()
    raise AssertionError(f"no error for {user}")
