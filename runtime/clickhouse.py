"""A ClickHouse URL -> a client of ClickHouse's HTTP interface, with the choices that all of ours share.

The URL may name the file of a private authority, as in clickhouse_connect's own addresses:
`https://loader:password@host:8443/?ca_cert=/etc/tapline/ca.pem`.
Invariants: the client never retries by itself, has no session, and gives up a request after a bounded time.
Source: clickhouse_connect's documentation of `get_client`.
"""

import logging
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from runtime import clickhouse_faults, tls

# They raise the errors that they also log as warnings.
for _library in ("clickhouse_connect", "urllib3"):
    logging.getLogger(_library).setLevel(logging.ERROR)


class AccessError(OperationalError):
    """ClickHouse admits us only after the operator changed something; the text says what."""


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

    It asks the server for its version at once. Raises: AccessError, and clickhouse_connect's ClickHouseError.
    """
    parts = urlsplit(url)
    try:
        return clickhouse_connect.get_client(
            interface=parts.scheme,
            host=parts.hostname or "",
            port=clickhouse_faults.port(url),
            username=unquote(parts.username or "default"),
            password=unquote(parts.password or ""),
            ca_cert=tls.ca_file(url),
            connect_timeout=connect_seconds_max,
            send_receive_timeout=max(1, round(seconds_max)),
            query_retries=0,
            compress=is_compressed,
            autogenerate_session_id=False,
            client_name=client_name,
            settings=dict(settings),
        )
    except ClickHouseError as error:
        if sentence := clickhouse_faults.sentence(error, url):
            raise AccessError(sentence) from error
        raise
