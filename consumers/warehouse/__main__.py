"""`python -m consumers.warehouse`: the loader, until SIGTERM or SIGINT.

Exit status: see `runtime.process`. The next start reads uncommitted records again.
"""

import gc
import os

from consumers.kit.metrics_server import ListenAddress, serve
from consumers.warehouse import audit_copier
from consumers.warehouse.load import topic_watch
from consumers.warehouse.load.wiring import LoaderParts, make_loader
from consumers.warehouse.settings import Settings
from runtime import allocator
from runtime.process import Process, main
from schemas.catalog.schema_reloader import lenient_reloader


def _load(process: Process) -> None:
    allocator.bound_arenas()
    settings = Settings.from_env(os.environ)
    parts = LoaderParts(settings, lenient_reloader(settings.schemas_dir, settings.schema_registry))
    loader = make_loader(settings, parts)
    if settings.metrics_port:
        serve(
            parts.metrics.registry,
            ListenAddress(settings.metrics_host, settings.metrics_port, "WAREHOUSE_METRICS_PORT"),
            lambda: loader.is_alive,
            lambda: loader.is_ready,
            lambda: loader.problem,
        )
    topic_watch.start(settings.kafka)
    audit_copier.start(settings.kafka, settings.clickhouse_url.get_secret_value(), settings.group)
    # Records come by the thousand and make no cycles; garbage collection took a fifth of the loop's time.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    process.stops_by(loader.stop, 2 * settings.shutdown_seconds_max)
    loader.run()


if __name__ == "__main__":
    main("the loader", _load)
