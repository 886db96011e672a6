"""`python -m consumers.warehouse`: the loader, until SIGTERM or SIGINT.

Exit status: 0 after an orderly stop, 2 for settings or schemas that cannot be used, 1 for anything else:
what was not committed is read again by the next start.
"""

import gc
import logging
import os
import signal
import sys

from consumers.kit.metrics_server import Where, serve
from consumers.warehouse.load.loader import Loader
from consumers.warehouse.load.wiring import Parts, make_loader
from consumers.warehouse.settings import Settings
from schemas.catalog.catalog import CatalogError
from schemas.catalog.schema_reloader import Current
from schemas.catalog.wire_ids import following
from schemas.environment import SettingsError, log_as_json

_log = logging.getLogger("consumers.warehouse")


def main() -> int:
    """Run until told to stop; return the exit status."""
    log_as_json()
    try:
        settings = Settings.from_env(os.environ)
        loader = _loader(settings, following(settings.schemas_dir, settings.schema_registry))
    except (SettingsError, CatalogError) as error:
        print(f"the loader cannot start:\n{error}", file=sys.stderr)
        return 2
    try:
        # Records come by the thousand and make no cycles: the collector took a fifth of the loop's time.
        gc.freeze()
        gc.set_threshold(100_000, 50, 100)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loader.stop())
        loader.run()
    except Exception:
        _log.exception("loader_failed")
        return 1
    return 0


def _loader(settings: Settings, current: Current) -> Loader:
    parts = Parts(settings, current)
    loader = make_loader(settings, parts)
    if settings.metrics_port:
        serve(
            parts.metrics.registry,
            Where(settings.metrics_host, settings.metrics_port, "WAREHOUSE_METRICS_PORT"),
            lambda: loader.is_alive,
            lambda: loader.is_ready,
        )
    return loader


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    # A thread may still wait for an answer of ClickHouse; what it holds was never committed.
    os._exit(status)
