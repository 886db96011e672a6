"""A ClickHouse URL -> a check that acknowledged events can be queried, and tables for newcomers.

Invariants: every query is shown with its answer, ready to copy; ClickHouse draws the tables. Only public
views are read.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import urlsplit

import httpx

from runtime import clickhouse_faults, tls
from runtime.command import CommandError

QUERIES = {
    "The 14 samples: every documented event type, once however often they are sent": """\
SELECT event_type, count() AS events, max(timestamp) AS at
FROM tapcart.events
WHERE app_id = 'a7Kq2mXw9L'
GROUP BY event_type
ORDER BY event_type""",
    "The shoppers: events by type": """\
SELECT event_type, count() AS events, uniqExactIf(device_id, device_id != '') AS devices,
    max(timestamp) AS newest
FROM tapcart.events
WHERE startsWith(app_id, 'demo-')
GROUP BY event_type
ORDER BY events DESC, event_type""",
    "How far they come: devices that reached each step in order, newest day": """\
SELECT day, app_id, opened, viewed, added, checkout, ordered
FROM tapcart.funnel_daily
WHERE startsWith(app_id, 'demo-')
ORDER BY day DESC, opened DESC
LIMIT 5""",
    "Revenue: currencies are never added up": """\
SELECT day, currency_code, sum(orders) AS n, sum(revenue) AS total
FROM tapcart.revenue_daily
WHERE startsWith(app_id, 'demo-')
GROUP BY day, currency_code
ORDER BY day DESC, total DESC
LIMIT 10""",
    "Orders: one purchase each, and what the app's and the server's event of it have in common": """\
SELECT matched_by, count() AS orders, countIf(environment = 'debug') AS of_debug_builds
FROM tapcart.orders
WHERE startsWith(app_id, 'demo-')
GROUP BY matched_by
ORDER BY orders DESC""",
    "Sessions: where they came from, and how many ended in an order": """\
SELECT source, utm_source, utm_campaign, count() AS sessions, countIf(converted) AS with_order
FROM tapcart.sessions
WHERE startsWith(app_id, 'demo-')
GROUP BY source, utm_source, utm_campaign
ORDER BY sessions DESC
LIMIT 6""",
    "Products: viewed, added, bought": """\
SELECT product_title, sum(views) AS looks, sum(adds) AS added, sum(purchases) AS bought
FROM tapcart.product_performance
WHERE startsWith(app_id, 'demo-')
GROUP BY product_id, product_title
ORDER BY looks DESC
LIMIT 5""",
    "What could not be placed, and why: nothing vanishes": """\
SELECT reason, count() AS bodies, any(detail) AS example
FROM tapcart.quarantine
GROUP BY reason
ORDER BY bodies DESC""",
}

_IDS_PER_QUERY = 2_000  # 80 KB of SQL
_REQUEST_SECONDS_MAX = 30.0
_PAUSE_SECONDS = 0.25


class QueryError(CommandError):
    """ClickHouse does not answer, or refused a query; the text is ClickHouse's."""


class QueryClient:
    """ClickHouse's HTTP interface; the URL may contain a login and the file of a private authority."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client = httpx.Client(
            base_url=urlsplit(url)._replace(query="").geturl(),
            timeout=_REQUEST_SECONDS_MAX,
            trust_env=False,
            verify=tls.context(tls.ca_file(url)),
        )

    def ask(self, sql: str, format_name: str = "TabSeparated") -> str:
        """Return the answer's text. Raises: QueryError."""
        settings = {"default_format": format_name, "max_query_size": "1048576", "readonly": "2"}
        try:
            answer = self._client.post("/", params=settings, content=sql.encode())
        except httpx.HTTPError as error:
            why = clickhouse_faults.sentence(error, self._url)
            raise QueryError(why or f"ClickHouse does not answer: {error}") from error
        if answer.is_error:
            refused = QueryError(answer.text.strip())
            raise QueryError(clickhouse_faults.sentence(refused, self._url) or str(refused))
        return answer.text

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def wait_queryable(
    clickhouse: QueryClient,
    acknowledged: Mapping[str, Sequence[str]],
    seconds_max: float,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Return how many acknowledged events cannot be queried yet; 0 once all can."""
    waiting = [(app_id, ids) for app_id, all_ids in acknowledged.items() for ids in _chunks(all_ids)]
    deadline = time.monotonic() + seconds_max
    while True:
        missing = [(app_id, ids, len(ids) - _found(clickhouse, app_id, ids)) for app_id, ids in waiting]
        waiting = [(app_id, ids) for app_id, ids, count in missing if count]
        left = sum(count for _, _, count in missing)
        progress(left)
        if not waiting or time.monotonic() > deadline:
            return left
        time.sleep(_PAUSE_SECONDS)


def _found(clickhouse: QueryClient, app_id: str, ids: Sequence[str]) -> int:
    condition = f"app_id = {_quoted(app_id)} AND event_id IN ({', '.join(map(_quoted, ids))})"
    sql = f"SELECT uniqExact(event_id) FROM tapcart.events WHERE {condition}"  # noqa: S608 - quoted
    return int(clickhouse.ask(sql))


def _chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (ids[start : start + _IDS_PER_QUERY] for start in range(0, len(ids), _IDS_PER_QUERY))


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
