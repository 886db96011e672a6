"""ClickHouse -> data of each event type that has no column. The only file here that talks to a server.

Invariants: read-only; a limited number of rows per type, newest first, none of which is stored; each event
once, as in the views.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from runtime import clickhouse
from runtime.clickhouse import AccessError
from runtime.environment import StartError
from schemas.catalog.catalog import Catalog
from schemas.catalog.table_names import table_name
from schemas.inference.field_profile import FieldProfile

_SECONDS_MAX = 300
_TYPES_MAX = 200
# Longer texts are not read as a set of fields; ingest accepts bodies of up to 2 MiB.
_JSON_BYTES_MAX = 65_536
# UNKNOWN_TABLE, UNKNOWN_DATABASE: the loader has not created it yet.
_NO_TABLE = frozenset({60, 81})

_ROWS_SQL = """
SELECT extra, {raw}, `metadata.schema_id` FROM tapcart.{view}
WHERE {where} AND (extra != '' OR {raw} != '')
  AND length(extra) <= {bytes_max} AND length({raw}) <= {bytes_max}
ORDER BY received_at DESC LIMIT {rows_max}
"""
_COUNT_SQL = "SELECT count() FROM tapcart.{view} WHERE {where}"
_TYPES_SQL = (
    "SELECT event_type FROM tapcart.unmodelled WHERE {where} GROUP BY event_type ORDER BY count() DESC"
)


class AwayError(StartError):
    """ClickHouse is unavailable or refuses the query."""


@dataclass(frozen=True, slots=True)
class Question:
    """The events to examine."""

    event_type: str | None  # None: all
    since: datetime | None  # None: from the beginning
    rows_max: int  # per event type


def arrivals(url: str, catalog: Catalog, question: Question) -> Iterator[tuple[str, FieldProfile]]:
    """Yield each event type with its profile, types without a schema first. Raises: AwayError."""
    try:
        client = clickhouse.connect(url, "tapline.schemas", _SECONDS_MAX, {"readonly": 2})
        try:
            yield from _arrivals(client, catalog, question)
        finally:
            client.close()
    except AccessError as error:
        raise AwayError(str(error)) from error
    except ClickHouseError as error:
        raise AwayError(f"ClickHouse: {str(error)[:500]}") from error


def _arrivals(client: Client, catalog: Catalog, question: Question) -> Iterator[tuple[str, FieldProfile]]:
    unknown = _types_without_schema(client, catalog, question)
    known = [release.name for release in catalog.newest_releases() if release.family == "mobile"]
    views = [*((one, "unmodelled") for one in unknown), *((one, table_name(one)) for one in known)]
    for event_type, view in views:
        if question.event_type in (None, event_type):
            try:
                yield event_type, _seen(client, view, event_type, question)
            except Error as error:
                if error.code not in _NO_TABLE:
                    raise


def _types_without_schema(client: Client, catalog: Catalog, question: Question) -> list[str]:
    sql = f"{_TYPES_SQL.format(where=_where(question))} LIMIT {_TYPES_MAX}"
    try:
        types = [str(row[0]) for row in client.query(sql, parameters=_parameters(question)).result_rows]
    except Error as error:
        if error.code in _NO_TABLE:
            return []
        raise
    known = {release.name for release in catalog.releases if release.family == "mobile"}
    return [one for one in types if one not in known]


def _seen(client: Client, view: str, event_type: str, question: Question) -> FieldProfile:
    where = _where(question) + (" AND event_type = {event_type:String}" if view == "unmodelled" else "")
    parameters = {**_parameters(question), "event_type": event_type}
    raw = "raw" if view == "unmodelled" else "''"
    sql = _ROWS_SQL.format(
        raw=raw, view=view, where=where, bytes_max=_JSON_BYTES_MAX, rows_max=question.rows_max
    )
    seen = FieldProfile()
    with client.query_rows_stream(sql, parameters=parameters) as rows:
        for extra, properties, schema_id in rows:
            seen.add(extra, properties, schema_id)
    if seen.events < question.rows_max:
        counted = _COUNT_SQL.format(view=view, where=where)
        seen.events = max(seen.events, client.query(counted, parameters=parameters).result_rows[0][0])
    return seen


def _where(question: Question) -> str:
    return "received_at >= {since:DateTime64(3, 'UTC')}" if question.since else "1"


def _parameters(question: Question) -> dict[str, object]:
    return {"since": question.since} if question.since else {}
