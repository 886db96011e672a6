"""`python -m deploy.image.health`: exit status 0 if the process of this container answers `/healthz`.

Each process has its own port, and a container runs one process.
"""

import os
import urllib.request
from collections.abc import Mapping, Sequence

from runtime import command

_PORTS = {"INGEST_ADMIN_PORT": 8083, "WAREHOUSE_METRICS_PORT": 8082, "LIVE_PORT": 8081}
_SECONDS_MAX = 3.0


def main(_: Sequence[str]) -> int:
    """Return the exit status."""
    return 0 if is_healthy(os.environ) else 1


def is_healthy(env: Mapping[str, str]) -> bool:
    """Return whether one of our processes answers here."""
    return any(_answers(int(env.get(name) or port)) for name, port in _PORTS.items())


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=_SECONDS_MAX):
            return True
    except OSError:  # an HTTP error is one, too
        return False


if __name__ == "__main__":
    command.main("health", main)
