"""`python -m consumers.warehouse`: the loader, until SIGTERM or SIGINT.

Exit status: 0 after an orderly stop, 2 for settings or schemas that cannot be used, 1 for anything else:
what was not committed is read again by the next start.
"""

import logging
import os
import signal
import sys

from pythonjsonlogger.json import JsonFormatter

from consumers.warehouse import metrics as metrics_port
from consumers.warehouse import tables
from consumers.warehouse.batch import Batch, Formats, Limits
from consumers.warehouse.clickhouse import ClickHouse
from consumers.warehouse.container import format_of
from consumers.warehouse.flush import Flusher, Policy
from consumers.warehouse.foreign import Check
from consumers.warehouse.loader import Bounds, Loader
from consumers.warehouse.metrics import Metrics
from consumers.warehouse.quarantine import Quarantine
from consumers.warehouse.settings import Settings, SettingsError
from consumers.warehouse.source import Source
from consumers.warehouse.tables import Options
from schemas.catalog import Catalog, CatalogError

_log = logging.getLogger("consumers.warehouse")


def main() -> int:
    """Run until told to stop; return the exit status."""
    _log_as_json()
    try:
        settings, catalog = Settings.from_env(os.environ), Catalog.load()
    except (SettingsError, CatalogError) as error:
        print(f"the loader cannot start:\n{error}", file=sys.stderr)
        return 2
    try:
        loader = _loader(settings, catalog)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: loader.stop())
        loader.run()
    except Exception:
        _log.exception("loader_failed")
        return 1
    return 0


def _loader(settings: Settings, catalog: Catalog) -> Loader:
    metrics = Metrics()
    by_id = {release.wire_id: format_of(release) for release in catalog.releases}
    formats = Formats(by_id.values(), by_id[catalog.quarantine.wire_id].prefix)
    check = Check(catalog, by_id)
    limits = Limits(settings.batch_rows_max, settings.batch_bytes_max, settings.batch_age_seconds_max)
    options = Options(settings.ttl_days, settings.settle_seconds, settings.cluster)
    url = settings.clickhouse_url.get_secret_value()
    warehouse = ClickHouse(url, tables.tables(catalog), options, settings.insert_seconds_max)
    policy = Policy(settings.retry_seconds_max, settings.refused_rows_max)
    flusher = Flusher(warehouse, Quarantine(settings.kafka, catalog), check, policy, metrics)
    loader = Loader(
        lambda on_revoked: Source(settings.kafka, settings.group, on_revoked),
        lambda: Batch(limits, formats, check),
        flusher,
        Bounds(settings.batch_bytes_max, settings.shutdown_seconds_max),
        metrics,
    )
    if settings.metrics_port:
        metrics_port.serve(
            metrics,
            settings.metrics_host,
            settings.metrics_port,
            lambda: loader.is_alive,
            lambda: loader.is_ready,
        )
    return loader


def _log_as_json() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(
        JsonFormatter("%(asctime)s %(levelname)s %(name)s %(message)s", rename_fields={"message": "event"})
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.captureWarnings(capture=True)


if __name__ == "__main__":
    status = main()
    logging.shutdown()
    # A thread may still wait for an answer of ClickHouse; what it holds was never committed.
    os._exit(status)
