"""The environment -> the addresses of the stack that a client command talks to.

A variable that is set wins, also by the file that `<its name>_FILE` names. Otherwise the ports of `make run`
are used, which follow its variables.
"""

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

_ADMIN_PORT = "8083"


def of_stack(env: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that `env` lacks."""
    password = env.get("CLICKHOUSE_PASSWORD")
    login = f"default:{quote(password, safe='')}@" if password else ""
    found = {
        "INGEST_URL": f"http://127.0.0.1:{env.get('INGEST_PORT') or 8080}",
        "INGEST_ADMIN_URL": f"http://127.0.0.1:{env.get('INGEST_ADMIN_PORT') or _admin_port(env)}",
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{env.get('KAFKA_PORT') or 9092}",
        "CLICKHOUSE_URL": f"http://{login}127.0.0.1:{env.get('CLICKHOUSE_PORT') or 8123}",
    }
    return {name: value for name, value in found.items() if not (env.get(name) or env.get(f"{name}_FILE"))}


def _admin_port(env: Mapping[str, str]) -> str:
    """Return the port that the stack has chosen."""
    try:
        return (Path(env.get("DATA_DIR") or "data") / "run" / "ingest-admin-port").read_text().strip()
    except OSError:
        return _ADMIN_PORT
