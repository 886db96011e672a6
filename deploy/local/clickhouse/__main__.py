"""Environment -> the embedded ClickHouse engine behind ClickHouse's HTTP interface, until SIGTERM."""

import os
import sys

import uvicorn

from deploy.local.clickhouse.app import make_app
from deploy.local.clickhouse.engine import Engine
from deploy.local.clickhouse.settings import Settings
from schemas.environment import SettingsError


def main() -> int:
    """Serve until a signal ends it; return the exit status."""
    try:
        settings = Settings.from_env(os.environ)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    uvicorn.run(
        make_app(Engine(settings), settings),
        host=settings.host,
        port=settings.port,
        # Not uvloop: it closes the descriptor of a pipe twice, the second time when it is another's already.
        loop="asyncio",
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=settings.shutdown_seconds_max,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
