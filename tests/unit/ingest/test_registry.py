"""Every path of the registry: its answers and errors, as Confluent's clients expect them."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from ingest.registry_api.registry import RegistryApi
from ingest.registry_api.registry_queries import RegistryError, posted_schema, problems
from schemas.catalog.catalog import Catalog
from schemas.catalog.schema_reloader import SchemaReloader
from tests.unit.schemas.tree import RELEASED, Tree

CATALOG = Catalog.load()
OPENED = CATALOG.releases[1]
SUBJECT = "tapcart.events-AppOpened"
VERSION = {"subject": SUBJECT, "version": 1, "id": 2, "schema": OPENED.text}
SUBJECTS = sorted(
    {
        f"{'tapcart.quarantine' if release.name == 'Quarantine' else 'tapcart.events'}-{release.name}"
        for release in CATALOG.releases
    }
)
MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """The registry of the released schemas."""
    with TestClient(RegistryApi(SchemaReloader()).app()) as client:
        yield client


def posted(schema: Any, **members: Any) -> dict[str, Any]:
    """Return a client's request for a schema, which may already be text."""
    return {"schema": schema if isinstance(schema, str) else json.dumps(schema), **members}


def changed(*removed: str, **added: Any) -> dict[str, Any]:
    """Return AppOpened's schema without some fields and with others: name=type, or name=(type, default)."""
    schema = deepcopy(OPENED.schema)
    schema["fields"] = [field for field in schema["fields"] if field["name"] not in removed]
    for name, kind in added.items():
        default = {"default": kind[1]} if isinstance(kind, tuple) else {}
        schema["fields"].append({"name": name, "type": kind[0] if default else kind, **default})
    return schema


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/", {}),
        ("/contexts", ["."]),
        ("/subjects", SUBJECTS),
        ("/subjects?deleted=true", SUBJECTS),
        ("/subjects?deletedOnly=true", []),
        ("/subjects?subjectPrefix=tapcart.quarantine", ["tapcart.quarantine-Quarantine"]),
        ("/subjects?subjectPrefix=:*:tapcart.q", ["tapcart.quarantine-Quarantine"]),
        ("/subjects?subjectPrefix=:*:", SUBJECTS),
        ("/subjects?subjectPrefix=nothing", []),
        ("/subjects?offset=2&limit=3", SUBJECTS[2:5]),
        ("/subjects?offset=0&limit=-1", SUBJECTS),
        (f"/subjects/{SUBJECT}/versions", [1]),
        (f"/subjects/{SUBJECT}/versions?deleted=true", [1]),
        (f"/subjects/{SUBJECT}/versions/1", VERSION),
        (f"/subjects/{SUBJECT}/versions/latest", VERSION),
        (f"/subjects/{SUBJECT}/versions/-1", VERSION),
        (f"/subjects/{SUBJECT}/versions/latest/schema", OPENED.schema),
        (f"/subjects/{SUBJECT}/versions/1/referencedby", []),
        ("/schemas/types", ["AVRO"]),
        ("/schemas/ids/2", {"schema": OPENED.text}),
        (f"/schemas/ids/2?subject={SUBJECT}&fetchMaxId=true", {"schema": OPENED.text, "maxId": RELEASED}),
        ("/schemas/ids/2/schema", OPENED.schema),
        ("/schemas/ids/2/subjects", [SUBJECT]),
        ("/schemas/ids/2/versions", [{"subject": SUBJECT, "version": 1}]),
        (f"/schemas/ids/2/versions?subject={SUBJECT}", [{"subject": SUBJECT, "version": 1}]),
        ("/schemas/ids/2/versions?subject=other", []),
        (f"/schemas?subjectPrefix={SUBJECT}&latestOnly=true", [VERSION]),
        ("/config", {"compatibilityLevel": "BACKWARD"}),
        (f"/config/{SUBJECT}", {"compatibilityLevel": "BACKWARD"}),
        ("/config/other?defaultToGlobal=true", {"compatibilityLevel": "BACKWARD"}),
        ("/mode", {"mode": "READONLY"}),
        (f"/mode/{SUBJECT}", {"mode": "READONLY"}),
        ("/mode/other?defaultToGlobal=true", {"mode": "READONLY"}),
    ],
)
def test_answers_what_is_asked(client: TestClient, path: str, answer: object) -> None:
    """Like Confluent's registry, in its media type."""
    given_ = client.get(path)

    assert (given_.status_code, given_.json()) == (200, answer)
    assert given_.headers["content-type"] == MEDIA_TYPE


def test_lists_every_schema(client: TestClient) -> None:
    """Each once, with its id."""
    listed = client.get("/schemas").json()

    assert sorted(one["id"] for one in listed) == [release.wire_id for release in CATALOG.releases]


@pytest.mark.parametrize(
    ("method", "path", "code", "words"),
    [
        ("GET", "/subjects/none/versions", 40401, "Subject 'none' not found."),
        ("GET", "/subjects/none/versions/1", 40401, "Subject 'none' not found."),
        ("GET", "/subjects/none/versions/latest/schema", 40401, "Subject 'none' not found."),
        ("GET", f"/subjects/{SUBJECT}/versions/2", 40402, "Version 2 not found."),
        ("GET", f"/subjects/{SUBJECT}/versions/0", 42202, "'0' is not a valid version id"),
        ("GET", f"/subjects/{SUBJECT}/versions/2147483648", 42202, "is not a valid version id"),
        ("GET", f"/subjects/{SUBJECT}/versions/{'9' * 9999}", 42202, "is not a valid version id"),
        ("GET", f"/subjects/{SUBJECT}/versions/first", 42202, "is not a valid version id"),
        ("GET", f"/schemas/ids/{RELEASED + 1}", 40403, f"Schema {RELEASED + 1} not found"),
        ("GET", f"/schemas/ids/{RELEASED + 1}/schema", 40403, f"Schema {RELEASED + 1} not found"),
        ("GET", f"/schemas/ids/{RELEASED + 1}/subjects", 40403, f"Schema {RELEASED + 1} not found"),
        ("GET", f"/schemas/ids/{RELEASED + 1}/versions", 40403, f"Schema {RELEASED + 1} not found"),
        ("GET", "/schemas/ids/two", 404, "HTTP 404 Not Found"),
        ("GET", f"/schemas/ids/{'9' * 9999}", 404, "HTTP 404 Not Found"),
        ("GET", "/config/none", 40408, "does not have subject-level compatibility configured"),
        ("GET", "/mode/none", 40409, "does not have subject-level mode configured"),
        ("GET", "/nothing", 404, "HTTP 404 Not Found"),
        ("PATCH", "/subjects", 405, "HTTP 405 Method Not Allowed"),
        ("DELETE", f"/subjects/{SUBJECT}", 42205, f"Subject {SUBJECT} is read-only here"),
        ("DELETE", f"/subjects/{SUBJECT}/versions/1", 42205, "`python -m schemas add`"),
        ("PUT", "/config", 42205, "Everything is read-only here"),
        ("PUT", f"/config/{SUBJECT}", 42205, "read-only"),
        ("DELETE", f"/config/{SUBJECT}", 42205, "read-only"),
        ("PUT", "/mode", 42205, "read-only"),
        ("PUT", f"/mode/{SUBJECT}", 42205, "read-only"),
        ("DELETE", f"/mode/{SUBJECT}", 42205, "read-only"),
    ],
)
def test_refuses_with_its_code(client: TestClient, method: str, path: str, code: int, words: str) -> None:
    """Error codes and messages are Confluent's; the status is the first three digits of the code."""
    _assert_refused(client.request(method, path), code, words)


def _assert_refused(answer: Any, code: int, words: str) -> None:
    told = answer.json()

    assert (answer.status_code, told["error_code"]) == (int(str(code)[:3]), code), told
    assert words in told["message"]
    assert told.keys() == {"error_code", "message"}
    assert answer.headers["content-type"] == MEDIA_TYPE


@pytest.mark.parametrize("query", ["", "?normalize=true", "?normalize=False&deleted=False"])
def test_finds_a_schema_by_its_content(client: TestClient, query: str) -> None:
    """White space and the order of members do not matter."""
    backwards = {name: OPENED.schema[name] for name in reversed(OPENED.schema)}
    found = client.post(
        f"/subjects/{SUBJECT}{query}", json=posted(json.dumps(backwards, indent=2), schemaType="AVRO")
    )

    assert (found.status_code, found.json()) == (200, VERSION)
    other = client.post(f"/subjects/{SUBJECT}{query}", json=posted(changed("session_id")))
    _assert_refused(other, 40403, "Schema not found")
    _assert_refused(
        client.post("/subjects/none", json=posted(OPENED.text)), 40401, "Subject 'none' not found."
    )


def test_registers_what_is_there_and_nothing_else(client: TestClient) -> None:
    """As with Confluent's: a client that registers before writing can continue; a new schema is refused."""
    again = client.post(f"/subjects/{SUBJECT}/versions", json=posted(OPENED.text))

    assert (again.status_code, again.json()) == (200, {"id": 2})
    new = client.post(f"/subjects/{SUBJECT}/versions", json=posted(changed(new=(["null", "string"], None))))
    _assert_refused(new, 42205, f"Subject {SUBJECT} is read-only here")
    _assert_refused(client.post("/subjects/none/versions", json=posted(OPENED.text)), 42205, "read-only")


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        (OPENED.schema, []),
        (changed(new=(["null", "string"], None)), []),
        (changed("session_id"), []),
        (changed(new="string"), ["new: new, but has no default"]),
        (changed("app_id", app_id="long"), ["app_id: string became long"]),
    ],
    ids=["same", "field with default", "field gone", "field without default", "type changed"],
)
@pytest.mark.parametrize("version", ["", "/latest", "/1"])
def test_compatibility_is_checked(client: TestClient, schema: Any, told: list[str], version: str) -> None:
    """By the rules of `schemas check`; every problem is reported on request."""
    path = f"/compatibility/subjects/{SUBJECT}/versions{version}"
    brief = client.post(path, json=posted(schema))
    verbose = client.post(f"{path}?verbose=true", json=posted(schema))

    assert brief.json() == {"is_compatible": not told}
    assert verbose.json() == {"is_compatible": not told, "messages": told}


def test_compatibility_with_what_is_not_there(client: TestClient) -> None:
    """Everything is compatible with the newest version of a missing subject; other versions are not found."""
    path = "/compatibility/subjects/none/versions"

    assert client.post(path, json=posted(OPENED.text)).json() == {"is_compatible": True}
    assert client.post(f"{path}/latest", json=posted(OPENED.text)).json() == {"is_compatible": True}
    _assert_refused(client.post(f"{path}/1", json=posted(OPENED.text)), 40402, "Version 1 not found.")
    _assert_refused(client.post(f"{path}/x", json=posted(OPENED.text)), 42202, "is not a valid version id")


@pytest.mark.parametrize(
    "body",
    [
        {},
        posted(""),
        posted("{"),
        posted({"type": "record"}),
        posted({"type": "record", "name": "AppOpened", "fields": [{"name": 7, "type": "string"}]}),
        posted("nothing"),
        posted('"nothing"'),
        posted(OPENED.text, schemaType="PROTOBUF"),
        posted(OPENED.text, references=[{"name": "a", "subject": "b", "version": 1}]),
        posted('{"type":"array","items":' * 101 + '"string"' + "}" * 101),
    ],
    ids=lambda body: str(body)[:40],
)
def test_an_invalid_schema_is_told(client: TestClient, body: dict[str, Any]) -> None:
    """42201 with the reason; a verbose check reports it as a message."""
    path = f"/compatibility/subjects/{SUBJECT}/versions/latest"
    _assert_refused(client.post(path, json=body), 42201, "Invalid schema: ")
    verbose = client.post(f"{path}?verbose=true", json=body).json()

    assert verbose["is_compatible"] is False
    assert verbose["messages"][0].startswith("Invalid schema: ")


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"", 400), (b"[]", 400), (b'{"schema": 7}', 400), (b'{"schema":"' + b"x" * 300_000 + b'"}', 413)],
    ids=["empty", "list", "number", "large"],
)
def test_a_body_that_is_no_request_is_told(client: TestClient, body: bytes, code: int) -> None:
    """400 for an invalid request, 413 for one that is too large."""
    _assert_refused(client.post(f"/subjects/{SUBJECT}", content=body), code, "The body is")


_NAMES = st.sampled_from(["string", "long", "null", "R", "AppOpened", "app_id", "", "__fastavro_parsed__"])
_ATTRIBUTES = st.sampled_from(["type", "name", "fields", "items", "values", "symbols", "default", "aliases"])
_NONSENSE = st.recursive(
    _NAMES | st.none() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_ATTRIBUTES, inner, max_size=5),
    max_leaves=20,
)


@given(_NONSENSE, st.integers(0, len(OPENED.schema["fields"]) - 1), st.none() | _ATTRIBUTES)
def test_no_schema_breaks_the_registry(nonsense: Any, place: int, attribute: str | None) -> None:
    """It is compared or reported as invalid; nothing else happens."""
    schema = deepcopy(OPENED.schema)
    if attribute:
        schema["fields"][place][attribute] = nonsense
    else:
        schema = nonsense
    code = None
    try:
        problems([OPENED], posted_schema(json.dumps(posted(schema)).encode()))
    except RegistryError as error:
        code = error.code

    assert code in (None, 42201)


def test_serves_what_was_released_meanwhile(tmp_path: Path) -> None:
    """A version released meanwhile is the newest, with the next id."""
    tree = Tree(tmp_path)
    reloader = SchemaReloader(tmp_path)
    client = TestClient(RegistryApi(reloader).app())
    assert client.get(f"/schemas/ids/{RELEASED + 1}").status_code == 404
    newer = changed(new=(["null", "string"], None))
    tree.release("avro/mobile/AppOpened/5_1_0.avsc", newer)

    assert reloader.reload()
    assert client.get(f"/subjects/{SUBJECT}/versions").json() == [1, 2]
    newest = client.get(f"/subjects/{SUBJECT}/versions/latest").json()
    assert (newest["version"], newest["id"], json.loads(newest["schema"])) == (2, RELEASED + 1, newer)
    assert client.get(f"/schemas/ids/{RELEASED + 1}/versions").json() == [{"subject": SUBJECT, "version": 2}]
    assert client.post(f"/subjects/{SUBJECT}", json=posted(newer)).json()["version"] == 2
    older = client.post(f"/compatibility/subjects/{SUBJECT}/versions/1", json=posted(OPENED.text))
    assert older.json() == {"is_compatible": True}
