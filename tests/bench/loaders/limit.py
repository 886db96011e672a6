"""The limit: ClickHouse itself inserts the same containers, from files. Prints rows and seconds.

`visits`: into tables that also feed the analytics views, like Tapline's.
"""

import json
import os
import sys
import time
from pathlib import Path

from consumers.warehouse.analytics import visits
from consumers.warehouse.clickhouse import SETTINGS
from consumers.warehouse.tables import RAW, Options, creations, quoted, tables
from deploy.local.clickhouse import configuration
from deploy.local.clickhouse.engine import Engine, Query
from deploy.local.clickhouse.settings import Settings
from schemas.catalog.catalog import Catalog


def main() -> None:
    """Insert everything of the manifest, then count."""
    front = Settings.from_env(os.environ)
    engine = Engine(front, configuration.write(front))
    settings = {name: str(value) for name, value in SETTINGS.items()}
    found, options = tables(Catalog.load()), Options()
    statements = [*creations(found, options)]
    if "visits" in sys.argv:
        statements += visits.creations(visits.sources(found), options)
    for statement in statements:
        engine.run(Query(statement.encode(), "bench"))
    manifest = json.loads(Path(os.environ["BENCH_MANIFEST"]).read_text())
    began = time.perf_counter()
    for path, table, columns, _ in manifest:
        names = ", ".join(map(quoted, columns))
        text = f"INSERT INTO {RAW}.{table} ({names}) FROM INFILE '{path}' FORMAT Avro"
        engine.run(Query(text.encode(), "bench", settings=settings))
    seconds = time.perf_counter() - began
    rows = 0
    for table in {table for _, table, _, _ in manifest}:
        count = f"SELECT count() FROM {RAW}.{table}"
        rows += int(engine.run(Query(count.encode(), "bench")).output)
    engine.close()
    sys.stdout.write(f"{rows} {seconds}\n")


if __name__ == "__main__":
    main()
