"""Test clients of the ClickHouse front: plain HTTP, and clickhouse-connect."""

import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
from clickhouse_connect.driver.client import Client

from tests.support.stack import Stack


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a plain HTTP request."""

    status: int
    headers: Message
    body: bytes

    @property
    def code(self) -> str | None:
        """The code of ClickHouse's error, or None."""
        return self.headers["X-ClickHouse-Exception-Code"]


def http(
    stack: Stack,
    path: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    method: str | None = None,
) -> Answer:
    """Return the answer to one request, whatever its status."""
    request = urllib.request.Request(stack.clickhouse_url + path, body, dict(headers or {}), method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return Answer(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())


def connect(stack: Stack, **options: Any) -> Client:
    """Return clickhouse-connect's HTTP client, unchanged."""
    address = urlsplit(stack.clickhouse_url)
    return clickhouse_connect.get_client(host=address.hostname, port=address.port or 0, **options)
