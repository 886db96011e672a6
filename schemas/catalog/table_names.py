"""The names of tables and views in ClickHouse that schemas must not take, and those of schemas.

An analytics view is a file of its name in consumers/warehouse/analytics/ and its name here.
"""

import re

# Each view comes after those that it reads.
ANALYTICS_VIEWS = (
    "orders",
    "revenue_daily",
    "active_devices_daily",
    "retention_weekly",
    "sessions",
    "funnel_daily_by_source",
    "funnel_daily",
    "product_performance",
    "push_performance",
    "attribution",
    "carts_abandoned_after",
    "carts_abandoned",
)
_RESERVED = frozenset({"audit_trail", "events", "quarantine_replays", "visits", *ANALYTICS_VIEWS})


def table_name(name: str) -> str:
    """Return the table of the schema `name`: app_opened for AppOpened."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def is_reserved(table: str) -> bool:
    """Return whether no schema's table may have this name."""
    # A cluster has a `..._local` table beside each, and views called `visits_of_...` feed `visits`.
    return table in _RESERVED or table.endswith("_local") or table.startswith("visits_of_")
