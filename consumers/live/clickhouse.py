"""A ClickHouse URL -> the numbers of the page, each queried as often as its cost allows.

Invariants: the only module of the live page that uses clickhouse_connect. Every query is read-only and
limited in time, rows and memory. After each query there is a pause in proportion to its duration, so that all
queries together stay within their share of a core; meanwhile the last answer stands.
"""

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, Error
from msgspec import Struct
from msgspec.structs import replace

from consumers.live import app_activity, queries
from consumers.live.answers import AuditedAction, ClickHouseStatus, QuarantineSummary, ShopSummary
from consumers.live.app_activity import AppActivity, DiskSpace
from consumers.live.poller import SourceAwayError
from runtime import clickhouse
from runtime.clickhouse import AccessError

_CONNECT_SECONDS_MAX = 2
_MEMORY_BYTES_MAX = 1_000_000_000
_ROWS_MAX = 1_000
_SAMPLES_MAX = 200
# Portions of the share of all queries; they add up to 1.
_PARTS = {
    "window": 0.36, "day": 0.2, "shop": 0.15, "total": 0.1, "quarantine": 0.1, "apps": 0.03, "disk": 0.01,
    "insert_share": 0.03, "audit": 0.02,
}  # fmt: skip
_UNKNOWN_TABLE = 60
# And UNKNOWN_DATABASE, CANNOT_EXTRACT_TABLE_STRUCTURE: before the loader's first start.
_NO_TABLES = frozenset({_UNKNOWN_TABLE, 81, 636})
# TIMEOUT_EXCEEDED, MEMORY_LIMIT_EXCEEDED, TOO_SLOW: the query is too expensive; ClickHouse is healthy.
_TOO_COSTLY = frozenset({159, 160, 241})
_COSTLY = "takes too long or needs too much memory"
# The page needs these; without one of the others it only has a gap.
_NEEDED = ("window", "total")

_Rows = Sequence[Sequence[Any]]


class QueryLimits(Struct, frozen=True):
    """Limits of the page's load on ClickHouse."""

    query_seconds_max: float
    query_share_max: float  # of one core, for all queries together
    silent_minutes: int = 30
    apps_max: int = 50


class ClickHouseSource:
    """Queries the tables. Not thread-safe: one call at a time."""

    def __init__(
        self,
        url: str,
        types: Callable[[], Sequence[str]],
        limits: QueryLimits,
        sample: Callable[[bytes, str], str],
        time_zone: str,
    ) -> None:
        self._url = url
        self._time_zone = time_zone  # the analytics views count days in this zone
        self._types = types  # event types that have a schema now
        self._limits = limits
        self._sample = sample  # start of a body and its source -> text
        self._client: Client | None = None
        self._tables = ClickHouseStatus()
        self._insert_time: queries.InsertTime | None = None
        self._due = dict.fromkeys(_PARTS, 0.0)

    def poll(self, now_ms: int) -> ClickHouseStatus:
        """Return the latest numbers. Raises: SourceAwayError."""
        for name in self._due:
            if monotonic() >= self._due[name]:
                self._refresh(name, now_ms)
        for name in _NEEDED:
            trouble = self._tables.troubles.get(name)
            if trouble and trouble != _COSTLY:
                raise SourceAwayError(trouble)
        return self._tables

    def _refresh(self, name: str, now_ms: int) -> None:
        started = monotonic()
        troubles = {other: why for other, why in self._tables.troubles.items() if other != name}
        changes: dict[str, Any] = {}
        try:
            if self._client is None:
                self._client = _connect(self._url, self._limits.query_seconds_max)
                started = monotonic()  # connecting needs no pause
            changes = self._answer(self._client, name, now_ms)
        except AccessError as error:
            raise SourceAwayError(str(error)) from error
        except ClickHouseError as error:
            if not isinstance(error, Error) or error.code is None:
                raise SourceAwayError("does not answer") from error
            troubles[name] = _trouble(error)
        except (LookupError, ValueError, TypeError) as error:  # a proxy may have answered
            raise SourceAwayError("does not answer like ClickHouse") from error
        self._tables = replace(self._tables, troubles=troubles, **changes)
        ended = monotonic()
        self._due[name] = ended + (ended - started) / (self._limits.query_share_max * _PARTS[name])

    def _answer(self, client: Client, name: str, now_ms: int) -> dict[str, Any]:
        match name:
            case "window":
                rows = _rows(client, queries.WINDOW, queries.window_parameters(now_ms))
                return {"window": queries.window(rows, self._types(), now_ms)}
            case "total":
                return {"total": queries.total(_rows(client, queries.TOTAL, {}), now_ms)}
            case "day":
                return {
                    "day": queries.day(_rows(client, queries.DAY, queries.day_parameters(now_ms)), now_ms)
                }
            case "shop":
                return {"shop": _shop(client, now_ms, self._time_zone)}
            case "apps" | "audit" | "disk" | "insert_share":
                return {name: self._watched(client, name, now_ms)}
            case _:
                found = queries.quarantine(_rows(client, queries.QUARANTINE, {}), now_ms)
                return {"quarantine": found, "samples": self._samples(client, found)}

    def _watched(
        self, client: Client, name: str, now_ms: int
    ) -> tuple[AppActivity, ...] | tuple[AuditedAction, ...] | DiskSpace | float | None:
        if name == "audit":
            return queries.audit(_rows(client, queries.AUDIT, {}))
        if name == "disk":
            return app_activity.disk(_rows(client, app_activity.DISK, {}))
        if name == "insert_share":
            before, now = self._insert_time, queries.insert_time(_rows(client, queries.INSERT_TIME, {}))
            self._insert_time = now
            return queries.insert_share(before, now)
        parameters = app_activity.apps_parameters(now_ms, self._limits.silent_minutes, self._limits.apps_max)
        return app_activity.apps(_rows(client, app_activity.APPS, parameters))

    def _samples(self, client: Client, found: QuarantineSummary) -> dict[str, str]:
        """Return the text of each sample, reading only new ones.

        Older ones are kept for a while, because a page may request one that it has just shown.
        """
        sources = {group.sample: group.source for group in found.groups}
        known = dict(list(self._tables.samples.items())[-_SAMPLES_MAX:])
        missing = sorted(sources.keys() - known.keys())
        if missing:
            for sample, body, length in _rows(client, queries.SAMPLES, {"samples": missing}):
                text = self._sample(bytes.fromhex(body), sources[sample])
                cut = f"\n… the first {queries.SAMPLE_BYTES_MAX} of {length} bytes"
                known[sample] = text + cut * (length > queries.SAMPLE_BYTES_MAX)
        return known


def _shop(client: Client, now_ms: int, time_zone: str) -> ShopSummary:
    days = queries.days(now_ms, time_zone)
    funnel = _of_view(client, queries.FUNNEL, days)
    revenue = _of_view(client, queries.REVENUE, days)
    return ShopSummary(
        days["today"],
        time_zone,
        None if funnel is None else queries.funnel(funnel),
        None if revenue is None else queries.revenue(revenue),
        now_ms,
    )


def _of_view(client: Client, sql: str, days: Mapping[str, str]) -> _Rows | None:
    """Return a view's rows for some days; None: the view does not exist."""
    try:
        return _rows(client, sql, days)
    except Error as error:
        if error.code != _UNKNOWN_TABLE:
            raise
        return None


def _rows(client: Client, sql: str, parameters: Mapping[str, Any]) -> _Rows:
    return client.query(sql, parameters=dict(parameters)).result_rows


def _connect(url: str, seconds_max: float) -> Client:
    return clickhouse.connect(
        url,
        "tapline.live",
        seconds_max + 1,
        {
            "readonly": 2,
            # As in the views: all versions of an event are in one partition.
            "do_not_merge_across_partitions_select_final": 1,
            "max_execution_time": seconds_max,
            "max_result_rows": _ROWS_MAX,
            "max_memory_usage": _MEMORY_BYTES_MAX,
            "max_threads": 1,
            "priority": 10,
            "log_comment": "tapline.live",
        },
        connect_seconds_max=_CONNECT_SECONDS_MAX,
    )


def _trouble(error: Error) -> str:
    if error.code in _NO_TABLES:
        return "has no tables yet; the loader creates them when it starts"
    if error.code in _TOO_COSTLY:
        return _COSTLY
    return f"refused a query: {error.name or 'error'} (code {error.code})"
