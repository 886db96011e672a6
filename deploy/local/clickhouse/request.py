"""URL and headers of one request -> what it asks for. Pure.

Source: ClickHouse's HTTP interface. A URL parameter that is none of its own names is a setting of the
query.
"""

import base64
import binascii
import hmac
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, QueryParams

from deploy.local.clickhouse.faults import Fault

# Parameters of the interface itself. Those without effect here are taken, so that clients need not know.
_OWN = frozenset(
    [
        "query",
        "database",
        "default_format",
        "framing_output_format",
        "query_id",
        "user",
        "password",
        "quota_key",
        "role",
        "compress",
        "decompress",
        "session_id",
        "session_timeout",
        "session_check",
        "wait_end_of_query",
        "buffer_size",
        "stacktrace",
        "enable_http_compression",
        "http_zlib_compression_level",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "cancel_http_readonly_queries_on_client_close",
        "add_http_cors_header",
        "client_protocol_version",
        "close_session",
        "http_write_exception_in_output_format",
        "http_response_buffer_size",
    ]
)
# In the order in which a server prefers them; the engine writes them all by itself.
_ENCODINGS = ("br", "xz", "zstd", "lz4", "gzip", "deflate")


@dataclass(frozen=True, slots=True)
class Asked:
    """What the URL and the headers of a request say."""

    query: str
    query_id: str
    database: str
    format: str  # of the answer when the query names none
    settings: Mapping[str, str]
    parameters: Mapping[str, str]  # without the prefix `param_`
    encoding: str  # of the answer: "" or a Content-Encoding
    blocks: bool  # the body is in ClickHouse's own compression
    wait_end: bool  # nothing is sent before the query ended
    framed: bool  # rows, progress and logs in one stream: a server's newest way to answer


def read(params: QueryParams, headers: Headers) -> Asked:
    """Return what is asked for. Raises: Fault for what this front does not do."""
    if _on(params.get("compress")):
        raise Fault(
            48, "NOT_IMPLEMENTED", "compress=1 is not supported by this front: use enable_http_compression=1"
        )
    if headers.get("content-type", "").startswith("multipart/"):
        raise Fault(48, "NOT_IMPLEMENTED", "External data (multipart bodies) is not supported by this front")
    return Asked(
        query=params.get("query", ""),
        query_id=params.get("query_id") or str(uuid.uuid4()),
        database=params.get("database") or headers.get("x-clickhouse-database", ""),
        format=params.get("default_format") or headers.get("x-clickhouse-format") or "TabSeparated",
        settings={k: v for k, v in params.items() if k not in _OWN and not k.startswith("param_")},
        parameters={k.removeprefix("param_"): v for k, v in params.items() if k.startswith("param_")},
        encoding=_encoding(headers) if _on(params.get("enable_http_compression")) else "",
        blocks=_on(params.get("decompress")),
        wait_end=_on(params.get("wait_end_of_query")),
        framed=params.get("framing_output_format", "None") != "None",
    )


def check_origin(headers: Headers) -> None:
    """Refuse the queries of web pages from elsewhere, which a browser here may show. Raises: Fault."""
    origin = headers.get("origin", "")
    if origin and urlsplit(origin).netloc != headers.get("host"):
        raise Fault(497, "ACCESS_DENIED", f"default: Queries from pages of {origin} are not accepted.")


def check_password(params: QueryParams, headers: Headers, password: str) -> None:
    """Compare the password sent, in whichever way, with `password`; empty: all pass. Raises: Fault."""
    if not password:
        return
    sent = (
        params.get("password") or headers.get("x-clickhouse-key") or _basic(headers.get("authorization", ""))
    )
    if sent is None:
        raise Fault(194, "REQUIRED_PASSWORD", "default: Authentication failed: password is required.")
    if not hmac.compare_digest(sent.encode(), password.encode()):
        detail = "default: Authentication failed: password is incorrect, or there is no user with such name."
        raise Fault(516, "AUTHENTICATION_FAILED", detail)


def _basic(header: str) -> str | None:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(value).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _encoding(headers: Headers) -> str:
    accepted = {part.split(";")[0].strip().lower() for part in headers.get("accept-encoding", "").split(",")}
    return next((encoding for encoding in _ENCODINGS if encoding in accepted), "")


def _on(value: str | None) -> bool:
    return (value or "").lower() in ("1", "true")
