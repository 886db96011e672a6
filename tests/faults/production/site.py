"""A folder -> every part of a production, each with a login of its own, and how each is restarted.

HTTPS by the project's Caddyfile, two ingests, three brokers set up by deploy/security, two loaders, the live
page, and the stack's ClickHouse behind TLS. Invariant: our processes have production's settings, and no more
rights than they need.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx

from tests.support.acme import acme
from tests.support.edge import HOST, Caddy
from tests.support.secure_kafka import SecureKafka, secure, secure_kafka
from tests.support.stack import ROOT, Stack, free_pairs
from tests.support.tls import tls_front
from tests.support.waiting import eventually
from tests.support.web import WEB, run_sql, total

_TOKEN = "secret-of-the-production"  # noqa: S105 - of a stack that nobody else reaches
_PASSWORD = "password-of-the-production"  # noqa: S105
_BROKERS, _INGESTS, _LOADERS = 3, 2, 2
_CERTIFICATE_SECONDS = 7 * 86_400
_SECONDS_MAX = 180.0
_COMMAND_SECONDS_MAX = 1800.0


class Part:
    """One of our processes."""

    def __init__(self, name: str, module: str, port: int, folder: Path, env: Mapping[str, str]) -> None:
        self.name, self.url = name, f"http://127.0.0.1:{port}"  # of its metrics
        self._line, self._log = [sys.executable, "-m", module], folder / f"{name}.log"
        self._env = os.environ | {"DATA_DIR": str(folder / name), **env}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it is ready. Raises: AssertionError if it is not in time, or ends."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(self._line, cwd=ROOT, env=self._env, stdout=log, stderr=log)
        eventually(self._is_ready, _SECONDS_MAX, f"{self.name} is ready: see {self._log}")

    def stop(self) -> None:
        """Stop it in order. Raises: AssertionError if it fails."""
        if self._process:
            self._process.send_signal(signal.SIGTERM)
            status = self._process.wait(_SECONDS_MAX)
            assert status == 0, f"{self.name} ended with status {status}: see {self._log}"

    def restart(self) -> None:
        """Stop it, and start it in any case."""
        try:
            self.stop()
        finally:
            self.start()

    def kill(self) -> None:
        """End it at once."""
        if self._process:
            self._process.kill()
            self._process.wait()

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self.name} ended: see {self._log}"
        return WEB.get(f"{self.url}/readyz").status_code == 200


class Site:
    """All parts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running = ExitStack()

    def start(self) -> None:
        """Start everything, and wait until it is ready."""
        secrets = self.folder / "secrets"
        secrets.mkdir(parents=True)
        self.kafka: SecureKafka = self._running.enter_context(secure_kafka(secrets, _BROKERS))
        public, ports = free_pairs(_INGESTS), iter(free_pairs(_INGESTS + _LOADERS + 1))
        self.ingests = [self._ingest(f"ingest-{n}", port, next(ports)) for n, port in enumerate(public, 1)]
        self._admins = ",".join(ingest.url for ingest in self.ingests)
        self.clickhouse = Stack(self.folder / "clickhouse", "clickhouse", self._env_of_clickhouse())
        self._running.callback(self._stop_clickhouse)
        self.clickhouse.start()
        made = secure("certificates", secrets, "clickhouse=localhost,127.0.0.1")
        assert made.returncode == 0, made.stderr
        front = tls_front(secrets / "clickhouse.pem", int(self.clickhouse.env["CLICKHOUSE_PORT"]))
        port = self._running.enter_context(front)
        url = f"https://default:{_PASSWORD}@localhost:{port}/?ca_cert={secrets / 'ca.pem'}"
        self.loader_env = self.kafka.env("loader") | {"CLICKHOUSE_URL": url, "INGEST_ADMIN_URL": self._admins}
        self.loaders = [self._loader(f"loader-{n + 1}", next(ports)) for n in range(_LOADERS)]
        self.live = self._live(next(ports), url)
        for part in (*self.ingests, *self.loaders, self.live):
            self._running.callback(part.kill)
            part.start()
        authority = self._running.enter_context(acme(self.folder, _CERTIFICATE_SECONDS))
        settings = {"TAPLINE_EDGE_KEEPALIVE": "2s"}  # as deploy/compose.yaml
        self.caddy = Caddy(self.folder, authority, public, **settings)
        self._running.callback(self.caddy.stop)
        self.caddy.start()
        self.url = f"https://{HOST}:{self.caddy.port}/tapcart_webhooks/{_TOKEN}"
        with httpx.Client(verify=self.caddy.trusted, trust_env=False) as client:
            ask = {"headers": {"host": HOST}, "extensions": {"sni_hostname": HOST}}
            address = f"https://127.0.0.1:{self.caddy.port}/"
            eventually(lambda: client.get(address, **ask).status_code == 404, _SECONDS_MAX, "HTTPS")  # type: ignore[arg-type]

    def stop(self) -> None:
        """Stop everything; data stays."""
        self._running.close()

    def restarts(self, *, one_of_each: bool) -> Iterator[tuple[str, Callable[[], object]]]:
        """Yield the name of each part in turn, and what restarts it and waits until it is as before."""
        count = 1 if one_of_each else None
        for node in self.kafka.nodes[:count]:
            yield f"broker {node}", lambda node=node: self._restart_broker(node)  # type: ignore[misc]
        for part in (*self.ingests[:count], *self.loaders[:count], self.live):
            yield part.name, part.restart
        yield "Caddy", self._hand_over
        yield "ClickHouse", self._restart_clickhouse

    def backup(self) -> Path:
        """Back up while events flow; return the backup's folder."""
        self.command("deploy.backup", env=self.clickhouse.env)
        (backup,) = (self.clickhouse.data_dir / "backups").iterdir()
        return backup

    def restore(self, backup: Path) -> None:
        """Stop loaders, page and ClickHouse, lose the tables, and restore the backup into an empty place."""
        for part in (*self.loaders, self.live):
            part.stop()
        self.clickhouse.stop()
        env = self._env_of_clickhouse() | {"CLICKHOUSE_PORT": self.clickhouse.env["CLICKHOUSE_PORT"]}
        del env["INGEST_SPOOL_DIR"]  # an empty place too
        self.clickhouse = Stack(self.folder / "restored", "clickhouse", env)
        self.command("deploy.backup.restore", str(backup), env=self.clickhouse.env)
        self.clickhouse.start()

    def go_on(self) -> None:
        """Start loaders and page: they load what came after the backup's moment."""
        for part in (*self.loaders, self.live):
            part.start()

    def command(self, module: str, *arguments: str, env: Mapping[str, str]) -> None:
        """Run a command. Raises: AssertionError if it fails."""
        line = [sys.executable, "-m", module, *arguments]
        done = subprocess.run(
            line, cwd=ROOT, env=os.environ | env, capture_output=True, text=True,
            timeout=_COMMAND_SECONDS_MAX, check=False,
        )  # fmt: skip
        with (self.folder / "commands.log").open("a") as log:
            log.write(f"--- {module} {' '.join(arguments)}\n{done.stdout}{done.stderr}")
        end = "\n".join((done.stdout + done.stderr).splitlines()[-8:])
        assert done.returncode == 0, f"{module} exits {done.returncode}: {end}"

    def sql(self, query: str, data: bytes = b"") -> bytes:
        """Return what ClickHouse answers. Raises: httpx.HTTPError."""
        return run_sql(self.clickhouse.clickhouse_url, query, data, login=("default", _PASSWORD))

    @property
    def kafka_properties(self) -> dict[str, str]:
        """Of a client with the loader's rights."""
        return self.kafka.properties("loader") | {"log_level": "0"}

    def metric(self, name: str) -> float:
        """Return the sum of a metric over both ingests. Raises: httpx.HTTPError."""
        return sum(total(WEB.get(f"{one.url}/metrics", timeout=5).text, name) for one in self.ingests)

    def _ingest(self, name: str, port: int, admin_port: int) -> Part:
        env = {
            "INGEST_PORT": str(port),
            "INGEST_ADMIN_PORT": str(admin_port),
            "INGEST_TOKENS": _TOKEN,
            "INGEST_LINGER_SECONDS": "3",  # as deploy/compose.yaml
        }
        return Part(name, "ingest", admin_port, self.folder, self.kafka.env("ingest") | env)

    def _loader(self, name: str, port: int) -> Part:
        env = self.loader_env | {"WAREHOUSE_METRICS_PORT": str(port)}
        return Part(name, "consumers.warehouse", port, self.folder, env)

    def _live(self, port: int, url: str) -> Part:
        env = {"CLICKHOUSE_URL": url, "LIVE_PORT": str(port), "LIVE_INGEST_URL": self._admins}
        return Part("live", "consumers.live", port, self.folder, self.kafka.env("live") | env)

    def _env_of_clickhouse(self) -> dict[str, str]:
        """Return the settings of ClickHouse's stack, and of the commands that back it up."""
        return self.kafka.env("loader") | {
            "CLICKHOUSE_PASSWORD": _PASSWORD,
            "CLICKHOUSE_QUERY_SECONDS_MAX": "600",  # the judge's take long
            "INGEST_SPOOL_DIR": str(self.folder / self.ingests[0].name / "spool"),
        }

    def _restart_broker(self, node: int) -> None:
        self.kafka.stop(node)
        self.kafka.start(node)
        eventually(self.kafka.is_whole, _SECONDS_MAX, "all replicas are in sync")

    def _hand_over(self) -> None:
        status = self.caddy.hand_over()
        assert status == 0, f"Caddy ended with status {status}: see {self.caddy.log}"

    def _restart_clickhouse(self) -> None:
        before = self.clickhouse.kill("clickhouse", signal.SIGTERM)

        def is_back() -> bool:
            with suppress(ValueError):
                return self.clickhouse.pid("clickhouse") != before and self.sql("SELECT 1") == b"1\n"
            return False

        eventually(is_back, _SECONDS_MAX, "ClickHouse")

    def _stop_clickhouse(self) -> None:
        process = self.clickhouse.process
        if process and process.poll() is None:
            self.clickhouse.stop()
