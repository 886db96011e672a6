"""deploy/compose.yaml -> the same with images that can be had without a registry, and free ports.

Kafka, ClickHouse and Caddy are those of the one-machine stack, in a minimal Debian with this checkout in it.
Left out: Prometheus, Alertmanager and Grafana (no image), health checks (they need systemd), log options (not
podman's).
"""

import sys
from pathlib import Path
from typing import Any

import yaml

from tests.support.stack import ROOT

IMAGE, BASE = "localhost/tapline-test", "localhost/tapline-test-base"
_LEFT_OUT = ("prometheus", "alertmanager", "grafana")
_PYTHON = str(ROOT / ".venv/bin/python")
# At their own paths, which the environment's links name: the checkout, its Python, and Kafka's jars.
_MOUNTED = {ROOT, Path(sys.base_prefix), *(path.resolve() for path in (ROOT / ".cache").glob("kafka-*"))}


def write(folder: Path, ports: dict[str, int]) -> Path:
    """Write the file; `ports`: of this machine, by service."""
    text = (ROOT / "deploy/compose.yaml").read_text().replace("./edge/", f"{ROOT}/deploy/edge/")
    document: dict[str, Any] = yaml.safe_load(text)
    services: dict[str, dict[str, Any]] = document["services"]
    for name in _LEFT_OUT:
        del services[name]
    del document["secrets"], document["volumes"]["prometheus"], document["volumes"]["grafana"]
    for name, one in services.items():
        one["depends_on"] = [*one.get("depends_on", ())]
        for left_out in ("healthcheck", "logging", "ulimits"):
            one.pop(left_out, None)
        one.pop("ports", None)
        if name in ports:
            inside = {"clickhouse": 8123, "caddy": 443, "live": 8081}[name]
            one["ports"] = [f"127.0.0.1:{ports[name]}:{inside}"]
    _stand_in(services["kafka"], [_PYTHON, "-m", "tests.compose.kafka"])
    services["kafka"]["environment"] = {}
    _stand_in(services["clickhouse"], [_PYTHON, "-m", "deploy.local.clickhouse"])
    services["clickhouse"]["environment"] |= {
        "CLICKHOUSE_HOST": "0.0.0.0",  # noqa: S104 - inside of the container's network
        "CLICKHOUSE_HOSTNAMES": "clickhouse",
        "DATA_DIR": "/var/lib/clickhouse",
    }
    caddy = [
        str(ROOT / ".venv/bin/caddy"),
        "run",
        "--config",
        "/etc/caddy/Caddyfile",
        "--adapter",
        "caddyfile",
    ]
    _stand_in(services["caddy"], caddy)
    services["caddy"]["environment"] |= {"XDG_DATA_HOME": "/data", "XDG_CONFIG_HOME": "/config"}
    path = folder / "compose.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


def _stand_in(service: dict[str, Any], command: list[str]) -> None:
    service |= {"image": BASE, "command": command, "working_dir": str(ROOT)}
    service["volumes"] += [f"{path}:{path}:ro" for path in sorted(_MOUNTED)]
