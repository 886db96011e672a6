"""`python -m ingest`: the receiver, until SIGTERM or SIGINT.

Exit status: 0 after an orderly stop, 2 for settings or schemas that cannot be used, 1 for anything else.
"""

import gc
import os
import signal
import sys

import uvicorn
from confluent_kafka import KafkaException

from ingest.delivery.spool import SpoolInUseError, hold
from ingest.http.app import build
from ingest.settings import Settings
from schemas.catalog.catalog import CatalogError
from schemas.catalog.schema_reloader import Current
from schemas.catalog.wire_ids import registering
from schemas.environment import SettingsError, log_as_json


def main() -> int:
    """Run until told to stop; return the exit status."""
    log_as_json()
    try:
        settings = Settings.from_env(os.environ)
        hold(settings.spool_dir)
        app = build(settings, _current(settings))
    except (SettingsError, CatalogError, SpoolInUseError) as error:
        print(f"ingest cannot start:\n{error}", file=sys.stderr)
        return 2
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            settings.host,
            settings.port,
            log_config=None,
            access_log=False,  # its lines would hold the token
            server_header=False,
            # Longer than proxies keep idle connections (60 s), else a POST can meet one that we just closed.
            timeout_keep_alive=75,
            forwarded_allow_ips=list(settings.proxies),
            timeout_graceful_shutdown=int(settings.shutdown_seconds_max),
        )
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        # uvicorn raises the signal once more after its orderly stop; that one is not to end us.
        signal.signal(number, lambda *_: None)
    # Requests make few cycles: looking for them took a tenth of the loop's time. Memory stays flat.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)
    server.run()
    return 0 if server.started else 1


def _current(settings: Settings) -> Current:
    memory = settings.spool_dir / "schema-registry.json"
    return registering(settings.schemas_dir, settings.schema_registry, memory)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KafkaException as error:
        print(f"ingest cannot start: Kafka's settings (KAFKA_*): {error.args[0]}", file=sys.stderr)
        sys.exit(2)
