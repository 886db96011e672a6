"""Settings -> the services of the stack: how each is started, reached and checked for readiness.

Invariant: the list is in order of start; the stack stops in reverse, so no service loses one that it needs.
"""

import sys
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from confluent_kafka import KafkaException, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from deploy.local import admin_port, clickhouse_command, kafka
from deploy.local.settings import Settings
from runtime import tls

NAMES = ("clickhouse", "kafka", "live", "warehouse", "ingest")

# Written once per start; never read.
_PROBE_TOPIC = "tapline.start"
_PROBE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Service:
    """One process of the stack."""

    name: str
    command: list[str]
    ready: Callable[[], bool]  # polled until true; OSError means not ready
    keeper: str = ""  # address of the keeper of its sockets


@dataclass(frozen=True, slots=True)
class Addresses:
    """The addresses of the services, for people and for each other."""

    ingest: str
    ingest_admin: str  # health, metrics, registry
    live: str
    clickhouse: str  # for people: without a password
    clickhouse_login: str = field(repr=False)  # for services: with the password, if any
    kafka: str


def addresses(settings: Settings) -> Addresses:
    """Return the addresses; external services keep theirs."""
    login = settings.clickhouse_url.get_secret_value() or _clickhouse_login(settings)
    host = urlsplit(login).netloc.rpartition("@")[2]
    return Addresses(
        ingest=f"http://{_reachable(settings.ingest_host)}:{settings.ingest_port}",
        ingest_admin=f"http://{_reachable(settings.ingest_admin_host)}:{admin_port.of(settings)}",
        live=f"http://{_reachable(settings.live_host)}:{settings.live_port}",
        clickhouse=urlsplit(login)._replace(netloc=host, query="").geturl().rstrip("/"),
        clickhouse_login=login,
        kafka=settings.kafka_bootstrap_servers or f"{_reachable(settings.kafka_host)}:{settings.kafka_port}",
    )


def ports(settings: Settings, names: set[str]) -> list[tuple[str, int, str]]:
    """Return (host, port, variable that changes it) of each port that the services in `names` open."""
    opened = {
        "ingest": [
            (settings.ingest_host, settings.ingest_port, "INGEST_PORT"),
            *(
                (settings.ingest_admin_host, port, "INGEST_ADMIN_PORT")
                for port in (settings.ingest_admin_port,)
                if port
            ),
        ],
        "live": [(settings.live_host, settings.live_port, "LIVE_PORT")],
        "clickhouse": [(settings.clickhouse_host, settings.clickhouse_port, "CLICKHOUSE_PORT")],
        "kafka": [
            (settings.kafka_host, settings.kafka_port, "KAFKA_PORT"),
            ("127.0.0.1", settings.kafka_port + 1, "KAFKA_PORT (its controller is on the next port)"),
        ],
    }
    return [entry for name in sorted(names) for entry in opened.get(name, [])]


def started(settings: Settings, only: set[str]) -> set[str]:
    """Return the services of `only` that are not external."""
    outside = {"clickhouse"} if settings.clickhouse_url.get_secret_value() else set()
    if settings.kafka_bootstrap_servers:
        outside.add("kafka")
    return only - outside


def services(settings: Settings, names: set[str], keeper: str, say: Callable[[str], None]) -> list[Service]:
    """Prepare the services in `names` and return them. Raises: StackError.

    `keeper` is the address of the keeper of ingest's sockets.
    """
    at = addresses(settings)
    make: dict[str, Callable[[], Service]] = {
        "clickhouse": lambda: Service(
            "clickhouse",
            # Heavy queries must not delay the receiver's answers.
            ["nice", "-n", "5", *clickhouse_command.command(settings, say)],
            lambda: _get(f"{at.clickhouse}/ping") == b"Ok.\n",
        ),
        "kafka": lambda: Service("kafka", _kafka(settings, say), lambda: _produces(at.kafka)),
        "live": lambda: _python("live", "consumers.live", lambda: bool(_get(f"{at.live}/healthz"))),
        "warehouse": lambda: _python("warehouse", "consumers.warehouse", lambda: _loads(at)),
        "ingest": lambda: Service(
            "ingest",
            [sys.executable, "-m", "ingest"],
            lambda: bool(_get(f"{at.ingest_admin}/readyz")),
            keeper,
        ),
    }
    return [make[name]() for name in NAMES if name in names]


def _clickhouse_login(settings: Settings) -> str:
    password = settings.clickhouse_password.get_secret_value()
    login = f"default:{quote(password, safe='')}@" if password else ""
    return f"http://{login}{_reachable(settings.clickhouse_host)}:{settings.clickhouse_port}"


def _python(name: str, module: str, ready: Callable[[], bool]) -> Service:
    return Service(name, [sys.executable, "-m", module], ready)


def _kafka(settings: Settings, say: Callable[[str], None]) -> list[str]:
    folder = settings.data_dir / "kafka"
    return kafka.command(folder, settings.cache_dir, settings.kafka_host, settings.kafka_port, say)


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=_PROBE_SECONDS) as answer:  # noqa: S310 - our own http:// address
        return bytes(answer.read())


def _loads(at: Addresses) -> bool:
    """Return whether the loader has created its tables; `tapcart.events` comes last."""
    request = urllib.request.Request(f"{at.clickhouse}/", data=b"EXISTS VIEW tapcart.events")  # noqa: S310
    login = urlsplit(at.clickhouse_login)
    if login.username:
        request.add_header("X-ClickHouse-User", unquote(login.username))
        request.add_header("X-ClickHouse-Key", unquote(login.password or ""))
    trusted = tls.context(tls.ca_file(at.clickhouse_login)) if login.scheme == "https" else None
    with urllib.request.urlopen(request, timeout=_PROBE_SECONDS, context=trusted) as answer:  # noqa: S310
        return bool(answer.read() == b"1\n")


def _produces(servers: str) -> bool:
    """Return whether the broker acknowledges an idempotent write; metadata are available earlier."""
    quiet: dict[str, str | int | float | bool] = {"bootstrap.servers": servers, "log_level": 0}
    topic = NewTopic(_PROBE_TOPIC, 1, config={"retention.ms": "60000", "segment.bytes": "1048576"})
    admin = AdminClient(quiet)
    try:
        admin.create_topics([topic], request_timeout=_PROBE_SECONDS)[_PROBE_TOPIC].result()
    except KafkaException as error:
        if error.args[0].name() != "TOPIC_ALREADY_EXISTS":
            return False
    failed: list[object] = []
    producer = Producer(
        quiet | {"enable.idempotence": "true", "message.timeout.ms": int(_PROBE_SECONDS * 1000)}
    )
    producer.produce(_PROBE_TOPIC, b"", on_delivery=lambda error, _: failed.append(error) if error else None)
    return producer.flush(_PROBE_SECONDS) == 0 and not failed


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not bound


def log_tail(path: Path, lines: int = 20) -> str:
    """Return the last lines of a log."""
    try:
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    except OSError:
        return ""
