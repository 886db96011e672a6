"""deploy/opentelemetry as its README says: ingest's spans arrive at a collector, and only there."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from ingest.delivery.segment import parse
from runtime.kafka import record_headers
from tests.support.process import SAMPLES, TOKEN, Ingest
from tests.support.waiting import eventually

_TRACE, _PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
_TRACEPARENT = f"00-{_TRACE}-{_PARENT}-01"
_POSTS = 2
_NO_KAFKA = "127.0.0.1:1"  # events go to the spool
_OPENED = (SAMPLES / "AppOpened.json").read_bytes()


class Collector(ThreadingHTTPServer):
    """Takes traces by OTLP over HTTP."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.sent: list[bytes] = []

    @property
    def spans(self) -> list[Span]:
        """All spans that arrived."""
        requests = map(ExportTraceServiceRequest.FromString, self.sent)
        return [
            span
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        """Keep the body of an export."""
        self.server.sent.append(self.rfile.read(int(self.headers["content-length"])))
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
        """Print nothing."""


@contextmanager
def collecting() -> Iterator[Collector]:
    """Run a collector."""
    with Collector() as collector:
        thread = threading.Thread(target=collector.serve_forever)
        thread.start()
        try:
            yield collector
        finally:
            collector.shutdown()
            thread.join()


def of_server(collector: Collector) -> list[Span]:
    """Return the spans of whole requests."""
    return [one for one in collector.spans if one.kind == Span.SPAN_KIND_SERVER]


@pytest.mark.slow
def test_a_post_is_a_span_of_its_senders_trace(tmp_path: Path) -> None:
    """With the sender's span as parent, and without the token of the URL or of the header."""
    with collecting() as collector:
        env = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{collector.server_port}",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_SERVICE_NAME": "tapline-ingest",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_BSP_SCHEDULE_DELAY": "100",
        }
        starter = (str(Path(sys.executable).with_name("opentelemetry-instrument")),)
        ingest = Ingest(_NO_KAFKA, tmp_path, env, starter=starter).start()
        try:
            assert ingest.post(_OPENED, traceparent=_TRACEPARENT).status_code == 200
            bearer = {"traceparent": _TRACEPARENT, "authorization": f"Bearer {TOKEN}"}
            assert ingest.client.post("/tapcart_webhooks", content=_OPENED, headers=bearer).status_code == 200
            of_requests = eventually(lambda: spans if len(spans := of_server(collector)) == _POSTS else None)
        finally:
            assert ingest.stop() == 0

    assert of_requests
    assert {one.trace_id.hex() for one in collector.spans} == {_TRACE}
    assert {one.parent_span_id.hex() for one in of_requests} == {_PARENT}
    assert {one.name for one in of_requests} == {"POST /tapcart_webhooks"}
    assert TOKEN.encode() not in b"".join(collector.sent)
    (spooled,) = (tmp_path / "spool").glob("*.spool")
    for record in parse(spooled.read_bytes()).records:
        assert record_headers.get(record.headers, record_headers.TRACEPARENT) == _TRACEPARENT.encode()
