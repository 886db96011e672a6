"""The naive loader: fastavro decodes each record, and JSON goes to ClickHouse line by line."""

import json
import os
from typing import Any

import httpx

from consumers.warehouse.tables import RAW
from tests.bench.loaders.topic import load

_client = httpx.Client(base_url=os.environ["CLICKHOUSE_URL"], timeout=120)
_SETTINGS = {"date_time_input_format": "best_effort", "input_format_null_as_default": "1"}


def insert(table: str, rows: list[dict[str, Any]]) -> None:
    """Insert rows of one table."""
    query = {"query": f"INSERT INTO {RAW}.{table} FORMAT JSONEachRow"} | _SETTINGS
    body = "\n".join(json.dumps(row, default=str) for row in rows)
    _client.post("/", params=query, content=body.encode()).raise_for_status()


if __name__ == "__main__":
    load(insert)
