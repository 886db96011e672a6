"""A schema registry stand-in that answers like Confluent's to registering, looking up and reading.

Its ids start at 2, so each id is our own id of another schema. It can be down, hang, refuse, and answer
nonsense.
Source: Confluent Schema Registry's API reference.
"""

import base64
import json
import re
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import unquote, urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable

Answer = tuple[int, Any]
PASSWORD = "very%secret"  # noqa: S105 - of the stand-in
_NOT_FOUND = (404, {"error_code": 404, "message": "HTTP 404 Not Found"})
_SECONDS_MAX = 20.0


@dataclass(frozen=True)
class Fault:
    """A replacement answer, for writers or for everyone."""

    status: int = 200
    body: bytes = b""
    is_slow: bool = False  # no answer until the fault ends
    subject: str = ""  # only this one


class StandIn:
    """One registry; while stopped it keeps its contents and its port."""

    def __init__(self, first_id: int = 2) -> None:
        self.subjects: dict[str, list[int]] = {}
        self.texts: dict[int, str] = {}
        self.fault: Fault | None = None
        self.asked: list[str] = []
        self._first_id = first_id
        self._port = 0
        self._over = threading.Event()
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Its address, with a password."""
        return f"http://user:{PASSWORD.replace('%', '%25')}@127.0.0.1:{self._port}"

    @property
    def open_url(self) -> str:
        """Its address, without a password."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def basic(self) -> str:
        """The credentials of its clients."""
        return f"user:{PASSWORD}"

    def start(self) -> None:
        """Start, on the same port each time."""
        handler = type("Handler", (_Handler,), {"registry": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), handler)
        self._server.daemon_threads = True
        self._port = self._server.server_port
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop answering."""
        self.mend()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def breaks(self, fault: Fault) -> None:
        """Answer with `fault` from now on."""
        self._over.clear()
        self.fault = fault

    def mend(self) -> None:
        """Answer correctly again."""
        self.fault = None
        self._over.set()

    def id_of(self, text: str) -> int | None:
        """Return the id of a schema."""
        return next((number for number, known in self.texts.items() if known == text), None)

    def answer(self, method: str, path: str, body: Any) -> Answer:
        """Return status and body."""
        self.asked.append(f"{method} {path}")
        routes: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
            ("POST", r"/subjects/([^/]+)/versions", self._register),
            ("POST", r"/subjects/([^/]+)", self._look_up),
            ("GET", r"/subjects/([^/]+)/versions", self._versions),
            ("GET", r"/subjects/([^/]+)/versions/([^/]+)", self._version),
            ("GET", r"/schemas/ids/(\d+)", self._by_id),
        )
        for wanted, pattern, reply in routes:
            found = re.fullmatch(pattern, path)
            if found and wanted == method:
                return self._broken(unquote(found[1])) or reply(*map(unquote, found.groups()), body)
        return _NOT_FOUND

    def _broken(self, subject: str) -> Answer | None:
        fault = self.fault
        if fault is None or fault.subject not in ("", subject):
            return None
        if fault.is_slow:
            self._over.wait(_SECONDS_MAX)
        return fault.status, fault.body

    def _register(self, subject: str, body: Any) -> Answer:
        number = self.id_of(body["schema"]) or self._first_id + len(self.texts)
        self.texts[number] = body["schema"]
        versions = self.subjects.setdefault(subject, [])
        if number not in versions:
            versions.append(number)
        return 200, {"id": number}

    def _look_up(self, subject: str, body: Any) -> Answer:
        if subject not in self.subjects:
            return 404, {"error_code": 40401, "message": f"Subject '{subject}' not found."}
        number = self.id_of(body["schema"])
        if number not in self.subjects[subject]:
            return 404, {"error_code": 40403, "message": "Schema not found"}
        return 200, self._described(subject, number)

    def _versions(self, subject: str, _: Any) -> Answer:
        if subject not in self.subjects:
            return 404, {"error_code": 40401, "message": f"Subject '{subject}' not found."}
        return 200, [*range(1, len(self.subjects[subject]) + 1)]

    def _version(self, subject: str, version: str, _: Any) -> Answer:
        index = -1 if version == "latest" else int(version) - 1
        return 200, self._described(subject, self.subjects[subject][index])

    def _by_id(self, number: str, _: Any) -> Answer:
        if int(number) not in self.texts:
            return 404, {"error_code": 40403, "message": f"Schema {number} not found"}
        return 200, {"schema": self.texts[int(number)]}

    def _described(self, subject: str, number: int) -> dict[str, Any]:
        version = self.subjects[subject].index(number) + 1
        return {"subject": subject, "version": version, "id": number, "schema": self.texts[number]}


class _Handler(BaseHTTPRequestHandler):
    registry: StandIn

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name there
        pass

    def _answer(self) -> None:
        data = self.rfile.read(int(self.headers.get("content-length", 0)))
        status, body = 401, cast("Any", {"error_code": 40101, "message": "who are you?"})
        wanted = base64.b64encode(self.registry.basic.encode()).decode()
        if self.headers.get("authorization") == f"Basic {wanted}":
            path = urlsplit(self.path).path
            status, body = self.registry.answer(self.command, path, json.loads(data or b"null"))
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        try:
            self.send_response(status)
            self.send_header("content-type", "application/vnd.schemaregistry.v1+json")
            self.send_header("content-length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)
        except OSError:  # the client has disconnected
            self.close_connection = True
