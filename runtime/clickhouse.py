"""A ClickHouse URL -> a client of ClickHouse's HTTP interface, with the choices that all of ours share.

Invariants: the client never retries by itself, has no session, and gives up a request after a bounded time.
Source: clickhouse_connect's documentation of `get_client`.
"""

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client

# It raises the errors that it also logs as warnings.
logging.getLogger("clickhouse_connect").setLevel(logging.ERROR)

_PORTS = {"http": 8123, "https": 8443}


def connect(
    url: str,
    client_name: str,
    seconds_max: float,
    settings: Mapping[str, Any],
    *,
    connect_seconds_max: float = 5.0,
    is_compressed: bool = True,
) -> Client:
    """Return a client that uses `settings` in every query; `seconds_max`: of one request.

    It asks the server for its version at once. Raises: clickhouse_connect's ClickHouseError.
    """
    parts = urlsplit(url)
    return clickhouse_connect.get_client(
        interface=parts.scheme,
        host=parts.hostname or "",
        port=parts.port or _PORTS.get(parts.scheme, 0),
        username=unquote(parts.username or "default"),
        password=unquote(parts.password or ""),
        connect_timeout=connect_seconds_max,
        send_receive_timeout=max(1, round(seconds_max)),
        query_retries=0,
        compress=is_compressed,
        autogenerate_session_id=False,
        client_name=client_name,
        settings=dict(settings),
    )
