"""A ClickHouse URL -> the numbers of the page, each asked for as often as its cost allows.

Invariants: the one module of the live page that knows clickhouse_connect; every query ends by itself (time,
rows, memory) and only reads. A query that took d seconds rests for d/share seconds; until then its last
answer stands.
"""

from collections.abc import Sequence
from time import monotonic
from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, Error
from msgspec import Struct
from msgspec.structs import replace

from consumers.live import queries
from consumers.live.feed import Away
from consumers.live.state import Quarantine, Tables, Total, Window

_CONNECT_SECONDS_MAX = 2
# A window of 5,000 events/s groups 4.5 million identities: about 600 MB.
_MEMORY_BYTES_MAX = 1_000_000_000
_ROWS_MAX = 1_000
# UNKNOWN_TABLE, UNKNOWN_DATABASE, CANNOT_EXTRACT_TABLE_STRUCTURE: before the loader's first start.
_NO_TABLES = frozenset({60, 81, 636})


class Limits(Struct, frozen=True):
    """What the page may cost ClickHouse."""

    query_seconds_max: float
    query_share_max: float  # of one core, for each query


class ClickHouse:
    """Looks at the tables. Not thread-safe: one look at a time."""

    def __init__(self, url: str, types: Sequence[str], limits: Limits) -> None:
        self._url = url
        self._types = types
        self._limits = limits
        self._client: Client | None = None
        self._tables = Tables()
        self._due = {"window": 0.0, "total": 0.0, "quarantine": 0.0}
        self._refusals: dict[str, str] = {}  # of queries that ClickHouse refused and that rest now

    def look(self, now_ms: int) -> Tables:
        """Return the newest numbers. Raises: Away."""
        for name in self._due:
            if monotonic() >= self._due[name]:
                self._refresh(name, now_ms)
        for refusal in self._refusals.values():
            raise Away(refusal)
        return self._tables

    def _refresh(self, name: str, now_ms: int) -> None:
        started = monotonic()
        try:
            if self._client is None:
                self._client = _connect(self._url, self._limits.query_seconds_max)
                started = monotonic()  # connecting is no reason to rest
            answer = self._answer(self._client, name, now_ms)
        except ClickHouseError as error:
            if not isinstance(error, Error) or error.code is None:
                raise Away("does not answer") from error
            self._refusals[name] = _refusal(error)
        else:
            self._refusals.pop(name, None)
            self._tables = replace(self._tables, **{name: answer})
        ended = monotonic()
        self._due[name] = ended + (ended - started) / self._limits.query_share_max

    def _answer(self, client: Client, name: str, now_ms: int) -> Window | Total | Quarantine:
        match name:
            case "window":
                rows = _rows(client, queries.WINDOW, queries.window_parameters(now_ms))
                return queries.window(rows, self._types, now_ms)
            case "total":
                return queries.total(_rows(client, queries.TOTAL, {}), now_ms)
            case _:
                return queries.quarantine(_rows(client, queries.QUARANTINE, {}), now_ms)


def _rows(client: Client, sql: str, parameters: dict[str, int]) -> Sequence[Sequence[Any]]:
    return client.query(sql, parameters=parameters).result_rows


def _connect(url: str, seconds_max: float) -> Client:
    parts = urlsplit(url)
    return clickhouse_connect.get_client(
        interface=parts.scheme,
        host=parts.hostname or "",
        port=parts.port or 0,
        username=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        connect_timeout=_CONNECT_SECONDS_MAX,
        send_receive_timeout=max(1, round(seconds_max + 1)),
        query_retries=0,
        autogenerate_session_id=False,
        settings={
            "readonly": 2,
            "max_execution_time": seconds_max,
            "max_result_rows": _ROWS_MAX,
            "max_memory_usage": _MEMORY_BYTES_MAX,
            "max_threads": 1,
            "priority": 10,
            "log_comment": "tapline.live",
        },
    )


def _refusal(error: Error) -> str:
    if error.code in _NO_TABLES:
        return "has no tables yet; the loader makes them when it starts"
    return f"refused a query: {error.name or 'error'} (code {error.code})"
