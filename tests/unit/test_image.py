"""The Dockerfile, and the health of a container. `make test-image` builds and runs the image."""

import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

from deploy.image import health
from tests.support.process import free_port
from tests.support.stack import ROOT


def test_the_dockerfile_is_clean() -> None:
    """By hadolint."""
    linter = Path(sys.executable).with_name("hadolint")
    said = subprocess.run(
        [linter, "--no-color", "Dockerfile"],
        cwd=ROOT / "deploy" / "image",
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert (said.returncode, said.stdout) == (0, "")


def test_a_container_is_healthy_if_its_process_is() -> None:
    """Whichever process it runs, at its port."""
    status = 200

    class Process(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Process) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        env = {"INGEST_ADMIN_PORT": str(free_port()), "LIVE_PORT": str(free_port())}
        env["WAREHOUSE_METRICS_PORT"] = str(server.server_port)
        assert health.is_healthy(env)
        status = 503
        assert not health.is_healthy(env)
        server.shutdown()
    assert not health.is_healthy(env)
