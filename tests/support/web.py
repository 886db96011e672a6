"""Requests to our processes.

Invariant: each has a connection of its own, because tests stop and kill the processes that keep connections.
"""

import httpx

# httpx's own functions load all certificates for each request: 28 ms of CPU instead of 2.
WEB = httpx.Client(timeout=20, limits=httpx.Limits(max_keepalive_connections=0))


def total(page: str, name: str) -> float:
    """Return the sum of a metric's samples on a page; `name` with or without labels."""
    lines = (line for line in page.splitlines() if line.startswith((f"{name} ", f"{name}{{")))
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def run_sql(
    url: str, query: str, data: bytes = b"", seconds_max: float = 600, login: tuple[str, str] | None = None
) -> bytes:
    """Return what ClickHouse answers. Raises: httpx.HTTPError."""
    # As a body, because it may be longer than a URL.
    params, content = ({"query": query}, data) if data else ({}, query.encode())
    answer = WEB.post(
        url, params=params, content=content, timeout=seconds_max, auth=login or httpx.USE_CLIENT_DEFAULT
    )
    if answer.is_error:
        raise httpx.HTTPError(f"{query[:300]}: {answer.text[:1000]}")
    return answer.content
