"""`python -m deploy.image.health`: exit status 0 if the process of this container answers `/healthz`.

Each process has its own port, and a container runs one process.
"""

import os
import sys
import urllib.request
from collections.abc import Mapping

_PORTS = {"INGEST_ADMIN_PORT": 8083, "WAREHOUSE_METRICS_PORT": 8082, "LIVE_PORT": 8081}
_SECONDS_MAX = 3.0


def main(env: Mapping[str, str]) -> int:
    """Return the exit status."""
    return 0 if any(_answers(int(env.get(name) or port)) for name, port in _PORTS.items()) else 1


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=_SECONDS_MAX):
            return True
    except OSError:  # an HTTP error is one, too
        return False


if __name__ == "__main__":
    sys.exit(main(os.environ))
