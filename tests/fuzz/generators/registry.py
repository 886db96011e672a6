"""Requests to the registry's API on the admin port."""

import json
from random import Random

from tests.fuzz.case import Case, Place, damaged, request, split
from tests.fuzz.generators.bodies import value

_PATHS = (
    "/registry/subjects",
    "/registry/subjects/tapcart.events-AppOpened/versions/latest",
    "/registry/schemas/ids/1",
    "/registry/schemas/ids/x",
    "/registry/schemas/ids/99999999999999999999",
    "/registry/schemas/ids/-1",
    "/registry/subjects/tapcart.events-AppOpened/versions",
    "/registry/subjects/%FF/versions/latest",
    "/registry/subjects/tapcart.events-AppOpened/versions/0",
    "/registry/config",
    "/registry/mode",
    "/registry/compatibility/subjects/tapcart.events-AppOpened/versions/latest?verbose=true",
    "/registry/x",
    "/registry/subjects/tapcart.events-AppOpened",
    "/registry/schemas/types",
    "/registry/contexts",
    "/metrics",
    "/readyz",
    "/healthz",
    "/",
    "/registry//",
    "/registry/subjects/" + "a" * 5000,
    "/tapcart_webhooks/x",
)
_METHODS = (b"GET", b"GET", b"POST", b"POST", b"PUT", b"DELETE", b"HEAD", b"PATCH")
_SCHEMAS = (
    '"string"',
    '{"type":"record","name":"A","fields":[]}',
    '{"type":"record"}',
    "{",
    "",
    "[]",
    '["null","null"]',
)


def make(rng: Random, _place: Place) -> Case:
    """Return one request."""
    schema = json.dumps(value(rng)) if rng.random() < 0.3 else rng.choice(_SCHEMAS)
    posted = {
        "schema": schema,
        "schemaType": rng.choice(("AVRO", "JSON", 1, None)),
        "references": value(rng, 1),
    }
    body = json.dumps(posted if rng.random() < 0.8 else value(rng, 3)).encode("utf-8", "surrogatepass")
    if rng.random() < 0.2:
        body = damaged(rng, body)
    method = rng.choice(_METHODS)
    return Case(split(rng, request(rng.choice(_PATHS), b"" if method == b"GET" else body, method=method)))
