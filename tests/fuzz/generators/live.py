"""Requests to the live page's API."""

import json
from random import Random

from tests.fuzz.case import Case, Place, damaged, request, split
from tests.fuzz.generators.bodies import value

_PATHS = (
    "/",
    "/api/snapshot",
    "/api/events/0-0",
    "/api/events/%FF",
    "/api/events/" + "9" * 400,
    "/api/samples/x",
    "/schemas",
    "/api/samples/..%2f..%2fetc%2fpasswd",
    "/../../etc/passwd",
    "/static/live.js",
    "/live.js",
    "/healthz",
    "/readyz",
    "/metrics",
    "/api/replay",
    "/api/replay",
    "/api/replay",
    "/events?x",
)
_HEADERS = (
    b"Content-Type: application/json",
    b"Content-Type: text/plain",
    b"Origin: http://evil.example",
    b"Host: evil.example",
    b"Sec-Fetch-Site: cross-site",
    b"Authorization: Basic !!",
    b"Authorization: Basic Og==",
    b"Accept: text/event-stream",
)


def make(rng: Random, _place: Place) -> Case:
    """Return one request."""
    wanted = {"reason": value(rng, 1), "pointer": value(rng, 1), "source": "ingest"}
    body = json.dumps(wanted if rng.random() < 0.7 else value(rng, 3)).encode("utf-8", "surrogatepass")
    if rng.random() < 0.2:
        body = damaged(rng, body)
    headers = [rng.choice(_HEADERS) for _ in range(rng.randrange(3))]
    method = rng.choice((b"GET", b"GET", b"POST", b"PUT", b"HEAD"))
    body = b"" if method == b"GET" else body
    return Case(split(rng, request(rng.choice(_PATHS), body, *headers, method=method)))
