"""URL and headers of one request -> its query and options. Pure.

Invariant: bytes that are not UTF-8 are preserved (surrogateescape) up to the engine. Source: ClickHouse's
HTTP interface. Any other URL parameter is a setting of the query.
"""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl

from starlette.datastructures import Headers

from deploy.local.clickhouse import native
from deploy.local.clickhouse.faults import FrontError
from deploy.local.clickhouse.sessions import SessionRequest

# Parameters of the interface itself. Those without effect here are accepted, for clients that send them.
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
# In the order of a server's preference; the engine writes all of them.
_ENCODINGS = ("br", "xz", "zstd", "lz4", "gzip", "deflate")


@dataclass(frozen=True, slots=True)
class HttpQuery:
    """The options in URL and headers of a request."""

    query: bytes
    query_id: str
    database: str
    format: str  # of the answer, if the query names none
    settings: Mapping[str, str]
    parameters: Mapping[str, str]  # without the prefix `param_`
    encoding: str  # of the answer: "" or a Content-Encoding
    is_packed: bool  # the answer uses ClickHouse's own compression
    revision: int  # of the client's protocol, which affects format Native; 0: as the engine writes it
    wait_end: bool  # send nothing before the query has ended
    session: SessionRequest
    framed: bool  # rows, progress and logs in one stream: a server's newest kind of answer


def url_parameters(query_string: bytes) -> dict[str, str]:
    """Parse the parameters of a URL; the last one of a name counts."""
    pairs = parse_qsl(query_string.decode("latin-1"), keep_blank_values=True, errors="surrogateescape")
    return dict(pairs)


def is_on(params: Mapping[str, str], name: str) -> bool:
    """Return whether a parameter is true."""
    return params.get(name, "").lower() in ("1", "true")


def read(params: Mapping[str, str], headers: Headers) -> HttpQuery:
    """Parse the request. Raises: FrontError for unsupported options."""
    is_packed = is_on(params, "compress")
    return HttpQuery(
        query=params.get("query", "").encode(errors="surrogateescape"),
        query_id=_query_id(params),
        database=params.get("database") or headers.get("x-clickhouse-database", ""),
        format=_format(params, headers),
        settings={k: v for k, v in params.items() if k not in _OWN and not k.startswith("param_")},
        parameters={k.removeprefix("param_"): v for k, v in params.items() if k.startswith("param_")},
        encoding=_encoding(headers) if is_on(params, "enable_http_compression") and not is_packed else "",
        is_packed=is_packed,
        revision=_revision(params),
        wait_end=is_on(params, "wait_end_of_query"),
        session=SessionRequest(
            params.get("session_id", ""),
            seconds=params.get("session_timeout", ""),
            must_exist=is_on(params, "session_check"),
            ends=is_on(params, "close_session"),
        ),
        framed=params.get("framing_output_format", "None") != "None",
    )


def _query_id(params: Mapping[str, str]) -> str:
    query_id = params.get("query_id") or str(uuid.uuid4())
    if not re.fullmatch(r"[ -~]{1,200}", query_id):
        raise FrontError(36, "BAD_ARGUMENTS", "query_id must be up to 200 printable ASCII characters")
    return query_id


def _revision(params: Mapping[str, str]) -> int:
    """Return the client's revision if it changes the format; 0 for older clients."""
    text = params.get("client_protocol_version", "")
    revision = int(text) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else 0
    return revision if revision >= native.REVISION_WITH_SERIALIZATION else 0


def _format(params: Mapping[str, str], headers: Headers) -> str:
    name = params.get("default_format") or headers.get("x-clickhouse-format") or "TabSeparated"
    if not re.fullmatch(r"\w+", name, re.ASCII):
        raise FrontError(73, "UNKNOWN_FORMAT", f"Unknown format {name[:100]!r}")
    return name


def _encoding(headers: Headers) -> str:
    accepted = {part.split(";")[0].strip().lower() for part in headers.get("accept-encoding", "").split(",")}
    return next((encoding for encoding in _ENCODINGS if encoding in accepted), "")
