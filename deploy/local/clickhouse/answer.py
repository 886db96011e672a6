"""Outcome, fault or pipe of a query -> ASGI messages with ClickHouse's headers.

Invariant: a fault after the answer has started is appended to the body between exception tags, and the
connection is closed. Source: ClickHouse's HTTP interface; the tags as of server 25.11.
"""

import json
import secrets
from dataclasses import dataclass

from starlette.types import Message, Send

from deploy.local.clickhouse.engine import Outcome
from deploy.local.clickhouse.faults import FrontError

_TYPES = {
    "JSON": "application/json; charset=UTF-8",
    "CSV": "text/csv; charset=UTF-8; header=absent",
    "CSVWithNames": "text/csv; charset=UTF-8; header=present",
    "TabSeparated": "text/tab-separated-values; charset=UTF-8",
    "TSV": "text/tab-separated-values; charset=UTF-8",
    "Native": "application/octet-stream",
    "RowBinary": "application/octet-stream",
    "Parquet": "application/octet-stream",
    "Arrow": "application/octet-stream",
    "ArrowStream": "application/octet-stream",
    "Avro": "application/octet-stream",
    "ORC": "application/octet-stream",
    "XML": "application/xml; charset=UTF-8",
}


@dataclass(frozen=True, slots=True)
class Head:
    """The headers of every answer to a query."""

    query_id: str
    version: str
    timezone: str
    format: str = ""
    encoding: str = ""

    def message(self, status: int, outcome: Outcome | None, extra: dict[str, str]) -> Message:
        """Build the ASGI message that starts the answer."""
        headers = {
            "X-ClickHouse-Query-Id": self.query_id,
            "X-ClickHouse-Server-Display-Name": "tapline",
            "X-ClickHouse-Timezone": self.timezone,
            "X-ClickHouse-Summary": _summary(outcome),
            "Content-Type": content_type(self.format),
        }
        if self.format:
            headers["X-ClickHouse-Format"] = self.format
        if self.encoding:
            headers["Content-Encoding"] = self.encoding
        pairs = [(name.lower().encode(), value.encode()) for name, value in (headers | extra).items()]
        return {"type": "http.response.start", "status": status, "headers": pairs}


def content_type(name: str) -> str:
    """Return the media type of format `name`."""
    if name.startswith("JSON") and "EachRow" in name:
        return "application/x-ndjson; charset=UTF-8"
    return _TYPES.get(name) or (
        "application/json; charset=UTF-8" if name.startswith("JSON") else "text/plain; charset=UTF-8"
    )


async def whole(send: Send, head: Head, outcome: Outcome) -> None:
    """Send the answer of a query with complete output."""
    await send(head.message(200, outcome, {"Content-Length": str(len(outcome.output))}))
    await send({"type": "http.response.body", "body": outcome.output})


async def fault(send: Send, head: Head, error: FrontError) -> None:
    """Send the answer of a query that failed before anything was sent."""
    body = error.text(head.version).encode(errors="surrogateescape")
    extra = {"X-ClickHouse-Exception-Code": str(error.code), "Content-Length": str(len(body))}
    if error.status == 401:  # noqa: PLR2004 - HTTP: unauthorized
        extra["WWW-Authenticate"] = 'Basic realm="ClickHouse server HTTP API"'
    plain_head = Head(head.query_id, head.version, head.timezone)
    await send(plain_head.message(error.status, None, extra))
    await send({"type": "http.response.body", "body": body})


def new_tag() -> str:
    """Return a random tag that occurs in no data."""
    return secrets.token_hex(8)


def tail(error: FrontError, version: str, tag: str) -> bytes:
    """Build the text appended to the body of a query that failed midway."""
    text = error.text(version)
    size = len(text.encode(errors="surrogateescape"))
    return f"\r\n__exception__\r\n{tag}\r\n{text}{size} {tag}\r\n__exception__\r\n".encode(
        errors="surrogateescape"
    )


def _summary(outcome: Outcome | None) -> str:
    values = {
        "read_rows": outcome.read_rows if outcome else 0,
        "read_bytes": outcome.read_bytes if outcome else 0,
        "written_rows": outcome.written_rows if outcome else 0,
        "written_bytes": outcome.written_bytes if outcome else 0,
        "total_rows_to_read": 0,
        "result_rows": 0,
        "result_bytes": 0,
        "elapsed_ns": outcome.elapsed_ns if outcome else 0,
    }
    return json.dumps({name: str(value) for name, value in values.items()})
