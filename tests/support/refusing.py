"""A proxy before ClickHouse that rejects chosen requests like ClickHouse: by a code, or by silence."""

import http.client
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

LOST = -1  # instead of a code: the connection ends without an answer
_HOP_BY_HOP = ("host", "connection", "transfer-encoding", "content-length", "accept-encoding")


class Refusing:
    """`url` leads to ClickHouse, except for requests that `refuse` rejects."""

    def __init__(self, clickhouse: str) -> None:
        # Body, which starts with the statement -> code; 0: passed on.
        self.refuse: Callable[[bytes], int] = lambda _: 0
        self.refused = 0
        self._upstream = urlsplit(clickhouse)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes] | None:
        """Return status, headers and text of the answer, or None."""
        if code := self.refuse(body):
            self.refused += 1
            text = f"Code: {code}. DB::Exception: injected. (INJECTED)".encode()
            return None if code == LOST else (500, {"X-ClickHouse-Exception-Code": str(code)}, text)
        onward = http.client.HTTPConnection(self._upstream.hostname or "", self._upstream.port, timeout=120)
        given = {name: value for name, value in headers.items() if name.lower() not in _HOP_BY_HOP}
        onward.request(method, path, body or None, given)
        answer = onward.getresponse()
        text = answer.read()
        onward.close()
        said = {name: value for name, value in answer.getheaders() if name.lower() not in _HOP_BY_HOP}
        return answer.status, said, text


def _handler(proxy: Refusing) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            found = proxy.answer(self.command, self.path, dict(self.headers), body)
            if found is None:
                self.close_connection = True
                return
            status, headers, text = found
            self.send_response(status)
            for name, value in (headers | {"content-length": str(len(text))}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def do_GET(self) -> None:
            self.do_POST()

        def log_message(self, *_: object) -> None:
            pass

    return Handler
