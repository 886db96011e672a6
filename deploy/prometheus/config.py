"""The shipped configuration and rules -> the same with the stack's own ports."""

import json
import shutil
from pathlib import Path

from deploy.local import admin_port
from deploy.local.settings import Settings

HERE = Path(__file__).parent
_LOADER_PORT = 8082  # the default port of the loader's metrics in `make run`


def write(folder: Path, settings: Settings) -> Path:
    """Write configuration and rules into `folder`; return the configuration's path. Raises: OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / "rules.yml", folder)
    path = folder / "prometheus.yml"
    path.touch(mode=0o600)
    path.write_text(located((HERE / "prometheus.yml").read_text(), settings))
    return path


def located(text: str, settings: Settings) -> str:
    """Fill in the stack's ports, and the password of its live page, if any."""
    ports = {
        8081: settings.live_port,
        8082: settings.warehouse_metrics_port or _LOADER_PORT,
        8083: admin_port.of(settings),
    }
    # Via placeholders, because one port may equal another's default.
    for port in ports:
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:<{port}>")
    for port, actual in ports.items():
        text = text.replace(f"<{port}>", str(actual))
    token = settings.live_token.get_secret_value()
    login = f"\n    basic_auth: {{username: prometheus, password: {json.dumps(token)}}}" if token else ""
    return text.replace("- job_name: live", f"- job_name: live{login}")
