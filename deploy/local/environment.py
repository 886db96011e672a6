"""The environment as given -> that of the services, checked by each of them before any is started.

Invariant: all that is wrong with it is told at once, whichever service would have told it.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import consumers.live.settings
import consumers.warehouse.settings
import deploy.local.clickhouse.settings
import ingest.settings
from deploy.local.errors import WrongSettingsError
from deploy.local.services import Addresses
from schemas.environment import SettingsError

_CHECKS: dict[str, Callable[[Mapping[str, str]], object]] = {
    "clickhouse": deploy.local.clickhouse.settings.Settings.from_env,
    "ingest": ingest.settings.Settings.from_env,
    "live": consumers.live.settings.Settings.from_env,
    "warehouse": consumers.warehouse.settings.Settings.from_env,
}

_BY_FILE = frozenset({"INGEST_TOKENS"})


def of_services(env: Mapping[str, str], data_dir: str, tokens: Path, at: Addresses) -> dict[str, str]:
    """Return what the services get: all of `env` but secrets that come by file, and where everything is."""
    return {name: value for name, value in env.items() if name not in _BY_FILE} | {
        "DATA_DIR": data_dir,
        "INGEST_TOKENS_FILE": str(tokens),
        "CLICKHOUSE_URL": at.clickhouse_login,
        "KAFKA_BOOTSTRAP_SERVERS": at.kafka,
        "INGEST_URL": at.ingest,
        "INGEST_ADMIN_PORT": at.ingest_admin.rpartition(":")[2],
        "LIVE_INGEST_URL": at.ingest_admin,
        "PYTHONUNBUFFERED": "1",
    }


def check(env: Mapping[str, str], names: set[str]) -> None:
    """Have the services in `names` check `env`. Raises: WrongSettingsError with all their findings."""
    problems: dict[str, None] = {}
    for name in sorted(names & _CHECKS.keys()):
        try:
            _CHECKS[name](env)
        except SettingsError as error:
            problems |= dict.fromkeys(str(error).splitlines())
    if problems:
        raise WrongSettingsError("\n  ".join(["these settings cannot be used:", *problems]))
