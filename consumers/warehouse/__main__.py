"""`python -m consumers.warehouse`: the loader, until SIGTERM or SIGINT.

Exit status: see `runtime.process`. The next start reads uncommitted records again.
"""

import contextlib
import ctypes
import gc
import os

from consumers.kit.metrics_server import ListenAddress, serve
from consumers.warehouse.load import topic_watch
from consumers.warehouse.load.wiring import LoaderParts, make_loader
from consumers.warehouse.settings import Settings
from runtime.process import Process, main
from schemas.catalog.schema_reloader import lenient_reloader

_M_ARENA_MAX = -8  # of glibc's malloc.h


def _load(process: Process) -> None:
    # Arenas of threads keep what batches freed: 100 MiB more after a long backlog.
    with contextlib.suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)
    settings = Settings.from_env(os.environ)
    parts = LoaderParts(settings, lenient_reloader(settings.schemas_dir, settings.schema_registry))
    loader = make_loader(settings, parts)
    if settings.metrics_port:
        serve(
            parts.metrics.registry,
            ListenAddress(settings.metrics_host, settings.metrics_port, "WAREHOUSE_METRICS_PORT"),
            lambda: loader.is_alive,
            lambda: loader.is_ready,
        )
    topic_watch.start(settings.kafka)
    # Records come by the thousand and make no cycles; garbage collection took a fifth of the loop's time.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)
    process.stops_by(loader.stop, 2 * settings.shutdown_seconds_max)
    loader.run()


if __name__ == "__main__":
    main("the loader", _load)
