"""A webhook URL -> its answers to probes: status, latency and body limit.

Invariants: a probe is an event of a reserved type, which ingest answers and keeps like any other, but no view
shows it. No redirect is followed; no text holds the token. Probes go to the quarantine's topic and table, so
no count of events includes them. Source of the statuses: docs/webhook.md.
"""

import json
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from statistics import median
from urllib.parse import urlsplit
from uuid import uuid4

import httpx

from deploy.doctor.finding import Finding, fault, ok, warning
from runtime import probe

_POSTS = 3
_LARGE_BYTES = 1_000_000  # ingest accepts 1 MiB
_SECONDS_MAX = 10.0
_SLOW_SECONDS = 1.0
_SKEW_SECONDS, _SKEW_SECONDS_MAX = 5.0, 60.0
_OK, _UNAUTHORIZED = 200, 401
_MENDS = {
    401: "The token in the URL is not in INGEST_TOKENS: `make url` prints the right one.",
    403: "INGEST_ADDRESSES or the proxy refuses this address; Tapcart publishes no addresses, so admit all.",
    404: "The proxy must pass on the path /tapcart_webhooks/<token>, unchanged, to ingest.",
    405: "The proxy or another server answers here: it must pass on POST to ingest.",
    411: "The proxy must pass on bodies without Content-Length.",
    413: "The proxy refuses even small bodies: nginx's client_max_body_size.",
    429: "INGEST_REQUESTS_PER_SECOND_MAX or the proxy limits the rate; Tapcart does not retry this.",
    500: "ingest cannot keep events: neither Kafka nor the spool accepts them. See its log and /readyz.",
    502: "The proxy cannot reach ingest: check that it runs, and the proxy's address for it.",
    503: "The proxy finds no running ingest: check that it runs.",
    504: "ingest did not answer the proxy in time: check that it runs, and its log.",
}


@dataclass(slots=True)
class Posts:
    """Posts probes to one URL, and records the acknowledged ones."""

    url: str = field(repr=False)
    acknowledged: list[str] = field(default_factory=list)  # event ids
    spooled: bool = False

    def findings(self) -> Iterator[Finding]:
        """Post probes and yield the findings; stop after a first failure."""
        with httpx.Client(verify=ssl.create_default_context(), timeout=_SECONDS_MAX, trust_env=False) as http:
            try:
                answer, seconds = self._post(http)
                yield self._judged(answer)
                if not self.acknowledged:
                    return
                yield _latency([seconds, *(self._post(http)[1] for _ in range(_POSTS - 1))])
                yield _skew(answer)
                yield self._stranger(http)
            except httpx.HTTPError as error:
                remedy = "See the proxy's log; Tapcart gives up after 5 minutes of this."
                yield fault("answer", f"none came: {error or type(error).__name__}", remedy)
            else:
                yield self._large(http)

    def _post(self, http: httpx.Client, url: str = "", padding: int = 0) -> tuple[httpx.Response, float]:
        event_id = str(uuid4())
        began = time.monotonic()
        answer = http.post(url or self.url, content=_probe(event_id, padding))
        seconds = time.monotonic() - began
        if kept := _kept(answer):
            self.acknowledged.append(event_id)
            self.spooled = self.spooled or kept == "spool"
        return answer, seconds

    def _judged(self, answer: httpx.Response) -> Finding:
        status = answer.status_code
        if answer.is_redirect:
            where = answer.headers.get("location", "nowhere")
            remedy = "Most senders do not follow a redirected POST. Give Tapcart the target address."
            return fault("answer", f"{status}: a redirect to {self._masked(where)}", remedy)
        if self.acknowledged:
            text = "200: kept in Kafka"
            if self.spooled:
                remedy = "Restore Kafka before the spool is full: deploy/runbook.md, TaplineDown."
                return warning("answer", "200: kept in the spool, because Kafka is unavailable", remedy)
            return ok("answer", text)
        if status == _OK:
            remedy = "Another server answers here: the proxy must pass /tapcart_webhooks/ on to ingest."
            return fault("answer", "200, but not from Tapline's ingest", remedy)
        return fault("answer", f"{status}: {_detail(answer)}", _MENDS.get(status, _MENDS[500]))

    def _stranger(self, http: httpx.Client) -> Finding:
        parts = urlsplit(self.url)
        path = parts.path.rpartition("/")[0] + "/no-such-token"
        answer, _ = self._post(http, parts._replace(path=path).geturl())
        if answer.status_code == _UNAUTHORIZED:
            return ok("token", "a wrong token is refused")
        remedy = "The proxy must not add its own token to requests."
        return fault("token", f"a wrong token is answered {answer.status_code}", remedy)

    def _large(self, http: httpx.Client) -> Finding:
        size = f"{_LARGE_BYTES:,} bytes"
        try:
            answer, _ = self._post(http, padding=_LARGE_BYTES)
        except httpx.HTTPError as error:
            remedy = "The proxy closes the connection on large bodies: nginx's client_max_body_size."
            return fault("body limit", f"{size}: {error or type(error).__name__}", remedy)
        if answer.status_code == _OK:
            return ok("body limit", f"{size} get through")
        ours = "problem+json" in answer.headers.get("content-type", "")
        remedy = (
            "Raise INGEST_BODY_BYTES_MAX: its default is 1 MiB."
            if ours
            else "Raise the proxy's limit to 1 MiB or more: nginx's client_max_body_size."
        )
        return fault("body limit", f"{size} are answered {answer.status_code}", remedy)

    def _masked(self, text: str) -> str:
        token = urlsplit(self.url).path.rpartition("/")[2]
        return text.replace(token, "<token>") if token else text


def _probe(event_id: str, padding: int) -> bytes:
    event = {
        "event_type": probe.EVENT_TYPE,
        "event_id": event_id,
        "app_id": "tapline",
        "device_id": "doctor",
        "timestamp": time.time_ns() // 1_000_000,
    }
    body = json.dumps(event).encode()
    # JSON ignores white space, so the event is the same at any size.
    return body + b" " * max(0, padding - len(body))


def _kept(answer: httpx.Response) -> str:
    """Return where ingest kept the event; empty if it did not, or if another server answered."""
    try:
        said = answer.json()
    except ValueError:
        return ""
    return str(said.get("kept", "")) if answer.status_code == _OK and isinstance(said, dict) else ""


def _detail(answer: httpx.Response) -> str:
    try:
        said = answer.json()
    except ValueError:
        return answer.reason_phrase or "no reason given"
    return str(said.get("detail", "") if isinstance(said, dict) else "")[:200] or answer.reason_phrase


def _latency(seconds: list[float]) -> Finding:
    text = f"{median(seconds) * 1000:.0f} ms median, {max(seconds) * 1000:.0f} ms at most"
    if median(seconds) > _SLOW_SECONDS:
        return warning(
            "latency", text, "Find the slow part: tapline_ingest_request_seconds shows ingest's share."
        )
    return ok("latency", text)


def _skew(answer: httpx.Response) -> Finding:
    try:
        theirs = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        return warning("clock", "no Date in the answer", "Have the proxy pass the Date header on.")
    # A Date has a resolution of one second.
    seconds = (theirs - datetime.now(UTC)).total_seconds() + 0.5
    text = f"the server's clock differs from this machine's by {abs(seconds):.0f} s"
    remedy = "Have both machines follow a time server (chrony, systemd-timesyncd)."
    if abs(seconds) > _SKEW_SECONDS_MAX:
        return fault("clock", text, remedy)
    return warning("clock", text, remedy) if abs(seconds) > _SKEW_SECONDS else ok("clock", text)
