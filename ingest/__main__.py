"""`python -m ingest`: the receiver, until SIGTERM or SIGINT.

Exit status: 0 after an orderly stop, 2 for settings or schemas that cannot be used, 1 for anything else.
"""

import gc
import os
import sys

import uvloop
from confluent_kafka import KafkaException

from ingest.delivery.spool import SpoolInUseError, hold
from ingest.http import serving
from ingest.http.app import running
from ingest.http.token_follower import TokenFollower
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
        tokens = TokenFollower(settings)
        current = _current(settings)
        public = serving.bind(settings.host, settings.port, "INGEST_PORT")
        admin = serving.bind(settings.admin_host, settings.admin_port, "INGEST_ADMIN_PORT")
    except (SettingsError, CatalogError, SpoolInUseError) as error:
        print(f"ingest cannot start:\n{error}", file=sys.stderr)
        return 2
    # Requests make few cycles: looking for them took a tenth of the loop's time. Memory stays flat.
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)

    async def run() -> None:
        async with running(settings, current, tokens) as applications:
            await serving.serve([(applications.public, public), (applications.admin, admin)], settings)

    uvloop.run(run())
    return 0


def _current(settings: Settings) -> Current:
    memory = settings.spool_dir / "schema-registry.json"
    return registering(settings.schemas_dir, settings.schema_registry, memory)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KafkaException as error:
        print(f"ingest cannot start: Kafka's settings (KAFKA_*): {error.args[0]}", file=sys.stderr)
        sys.exit(2)
