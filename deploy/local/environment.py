"""The environment as given -> the environment of each service, checked before any is started.

Invariants: all problems are reported at once, for all services; a secret reaches only the processes that need
it. ClickHouse, which runs arbitrary SQL, gets none: its password is in a file that it can no longer read once
it runs.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import consumers.live.settings
import consumers.warehouse.settings
import deploy.local.clickhouse.settings
import ingest.settings
from deploy.local.errors import WrongSettingsError
from deploy.local.folder import PASSWORD_FILE
from deploy.local.services import Addresses
from runtime.environment import SettingsError

_CHECKS: dict[str, Callable[[Mapping[str, str]], object]] = {
    "clickhouse": deploy.local.clickhouse.settings.Settings.from_env,
    "ingest": ingest.settings.Settings.from_env,
    "live": consumers.live.settings.Settings.from_env,
    "warehouse": consumers.warehouse.settings.Settings.from_env,
}

_BY_FILE = frozenset({"CLICKHOUSE_PASSWORD", "INGEST_TOKENS"})
_REPLACED = _BY_FILE | {"CLICKHOUSE_URL_FILE", "KAFKA_BOOTSTRAP_SERVERS_FILE"}  # by other variables
# For services that run third-party code: the prefixes of the variables that they need.
_ALLOWED = {
    "clickhouse": ("CLICKHOUSE_", "DATA_DIR", "LANG", "LC_", "PATH", "PYTHON", "TZ"),
    "kafka": ("HOME", "JAVA_", "LANG", "LC_", "PATH", "TZ"),
}
# Owners of each secret; a name ending in _ is a prefix.
_SECRETS: dict[str, set[str]] = {
    "CLICKHOUSE_URL": {"live", "warehouse"},
    "KAFKA_": {"ingest", "live", "warehouse"},
    "LIVE_TOKEN": {"live"},
    "SCHEMA_REGISTRY_": {"ingest", "live", "warehouse"},
}


def variables(service: str, env: Mapping[str, str]) -> list[str]:
    """Return the names of the variables that `service` gets."""
    allowed = _ALLOWED.get(service, ("",))
    others = _BY_FILE | {secret for secret, owners in _SECRETS.items() if service not in owners}
    beginnings = tuple(secret for secret in others if secret.endswith("_"))
    kept = (name for name in env if name.startswith(allowed) and name not in others)
    return sorted(name for name in kept if not name.startswith(beginnings))


def of_services(env: Mapping[str, str], data_dir: str, tokens: Path, at: Addresses) -> dict[str, str]:
    """Return the services' environment: `env` without secrets passed by file, plus all addresses."""
    return {name: value for name, value in env.items() if name not in _REPLACED} | {
        "DATA_DIR": data_dir,
        "INGEST_TOKENS_FILE": str(tokens),
        "CLICKHOUSE_URL": at.clickhouse_login,
        "CLICKHOUSE_PASSWORD_FILE": f"{data_dir}/{PASSWORD_FILE}",
        "KAFKA_BOOTSTRAP_SERVERS": at.kafka,
        "INGEST_URL": at.ingest,
        "INGEST_ADMIN_PORT": at.ingest_admin.rpartition(":")[2],
        "LIVE_INGEST_URL": at.ingest_admin,
        "PYTHONUNBUFFERED": "1",
    }


def check(env: Mapping[str, str], names: set[str]) -> None:
    """Have the services in `names` check `env`. Raises: WrongSettingsError with all problems."""
    problems: dict[str, None] = {}
    for name in sorted(names & _CHECKS.keys()):
        try:
            _CHECKS[name](env)
        except SettingsError as error:
            problems |= dict.fromkeys(str(error).splitlines())
    if problems:
        raise WrongSettingsError("\n".join(problems))
