"""`make test-compose`: deploy/compose.yaml by podman-compose; POST over HTTPS, row, and each service killed.

The images are those of `tests.compose.file`. Exit status: 0; 1 with the reason. Needs root, and Debian's
buildah, podman, podman-compose, netavark, iptables, aardvark-dns, runc and mmdebstrap.
"""

import json
import os
import secrets
import signal
import ssl
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.compose import file
from tests.image import __main__ as image
from tests.support import podman
from tests.support.process import free_port
from tests.support.waiting import eventually
from tests.support.warehouse import body

_PROJECT = "taplinetest"
_PUBLISHED = ("clickhouse", "caddy", "live")


@dataclass(frozen=True, slots=True)
class Site:
    """What was brought up."""

    ports: dict[str, int]
    env: dict[str, str]

    def url(self, path: str) -> str:
        """Return an address of the edge."""
        return f"https://localhost:{self.ports['caddy']}{path}"

    def post(self, app: str) -> str:
        """Post an event over HTTPS; return its id."""
        root = podman.run(
            self.env, "podman", "exec", _name("caddy"), "cat", "/data/caddy/pki/authorities/local/root.crt"
        )
        event_id = str(uuid.uuid4())
        with httpx.Client(verify=ssl.create_default_context(cadata=root), timeout=40) as client:
            path = f"/tapcart_webhooks/{self.env['INGEST_TOKENS']}"
            client.post(self.url(path), content=body(app_id=app, event_id=event_id)).raise_for_status()
        return event_id

    def rows(self, app: str) -> set[str]:
        """Return the ids of an app's rows."""
        sql = f"SELECT event_id FROM tapcart.events WHERE app_id = '{app}'"
        url = f"http://127.0.0.1:{self.ports['clickhouse']}"
        answer = httpx.post(url, content=sql, auth=("default", self.env["CLICKHOUSE_PASSWORD"]), timeout=20)
        return {*answer.raise_for_status().text.split()}


def main() -> int:
    """Bring it up, break it, and take it down; return the exit status."""
    image._base("tapline-test-base", "")
    image._base("tapline-test-build", ",binutils")
    image._build()
    app, posted = f"app-{uuid.uuid4()}", []
    with tempfile.TemporaryDirectory(prefix="tapline-compose-") as folder, _up(Path(folder)) as site:
        posted.append(eventually(lambda: site.post(app), 120, "the first post"))
        eventually(lambda: site.rows(app) == {*posted}, 120, "its row")
        for name in ("ingest-1", "warehouse", "live", "kafka", "clickhouse", "caddy", "ingest-2"):
            _kill(site.env, name)
            posted.append(eventually(lambda: site.post(app), 60, f"a post after {name} was killed"))
            eventually(lambda: site.rows(app) == {*posted}, 90, f"all rows after {name} was killed")
            sys.stdout.write(f"{name}: killed, restarted, nothing lost\n")
    return 0


@contextmanager
def _up(folder: Path) -> Iterator[Site]:
    ports = {name: free_port() for name in _PUBLISHED}
    token = [secrets.token_hex(24) for _ in range(3)]
    ours = {"TAPLINE_HOST": "localhost", "TAPLINE_IMAGE": file.IMAGE, "INGEST_TOKENS": token[0]}
    ours |= {"LIVE_TOKEN": token[1], "CLICKHOUSE_PASSWORD": token[2]}
    env = podman.environment(folder) | ours
    compose = ["podman-compose", "--file", str(file.write(folder, ports)), "--project-name", _PROJECT]
    try:
        podman.run(env, *compose, "up", "--detach")
        yield Site(ports, env)
    except BaseException:
        for name in ("kafka", "clickhouse", "ingest-1", "warehouse", "caddy"):
            sys.stderr.write(f"--- {name}\n{podman.logs(env, _name(name))}\n")
        raise
    finally:
        podman.run(env, *compose, "down", "--volumes")


def _kill(env: dict[str, str], name: str) -> None:
    """Kill a service's process, as a crash does."""
    state = json.loads(podman.run(env, "podman", "container", "inspect", _name(name)))[0]["State"]
    os.kill(int(state["Pid"]), signal.SIGKILL)


def _name(service: str) -> str:
    return f"{_PROJECT}_{service}_1"


if __name__ == "__main__":
    sys.exit(main())
