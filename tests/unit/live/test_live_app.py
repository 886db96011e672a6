"""The answers of the page's server, and who gets them."""

import asyncio
import base64
import json
import re
from collections.abc import Coroutine
from dataclasses import replace
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from starlette.applications import Starlette

from consumers.live import app
from consumers.live.answers import (
    ClickHouseStatus,
    KafkaStatus,
    QuarantineGroup,
    QuarantineSummary,
    RedactedEvent,
)
from consumers.live.broadcaster import Broadcaster
from consumers.live.metrics import Metrics
from consumers.live.page_state import PageState
from consumers.live.queries import window
from consumers.live.replays import Replays, condition
from consumers.live.state import (
    CLICKHOUSE,
    KAFKA,
    WAREHOUSE,
)
from schemas.catalog.catalog import HERE
from schemas.catalog.schema_reloader import SchemaReloader

NOW = 7
SESAME = "0123456789abcdef"
PATHS = [
    "/", "/live.js", "/live.css", "/icon.svg", "/vendor/uPlot.iife.min.js", "/api/snapshot", "/metrics",
    "/events", "/api/events/0-1", "/api/samples/AB",
]  # fmt: skip
STATIC = files("consumers.live") / "static"
WAITING = QuarantineGroup("invalid_field", "/device_id", "ingest", 3, 2, 5, "is missing", "AB")
REPLAYED = QuarantineGroup("not_json", "", "ingest", 1, 0, 5, "cut", "CD")
WANTED = {"reason": "invalid_field", "pointer": "/device_id", "source": "ingest"}
OURS = {"origin": "http://127.0.0.1:8081", "content-type": "application/json"}


@pytest.fixture
def page_state() -> PageState:
    """The state of a page before any poll."""
    return PageState((CLICKHOUSE, KAFKA, WAREHOUSE), 0, 1000)


def page(page_state: PageState, token: str | None = None) -> Starlette:
    """Return the application with one published state and closed streams."""
    broadcaster = Broadcaster(2, Metrics())
    broadcaster.publish(b'{"now_ms":1}')
    return app.build(parts(page_state, broadcaster, token))


def parts(page_state: PageState, broadcaster: Broadcaster, token: str | None = None) -> app.PageParts:
    """Return the parts of an application whose replays cannot reach Kafka."""
    replays = Replays({"KAFKA_BOOTSTRAP_SERVERS": ""}, page_state, Metrics(), lambda: NOW, start)
    return app.PageParts(page_state, broadcaster, Metrics(), replays, SchemaReloader(), lambda: NOW, token)


def start(_name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Start a replay, unsupervised."""
    return asyncio.create_task(work)


def seen(*groups: QuarantineGroup) -> ClickHouseStatus:
    """Return ClickHouse's quarantine."""
    return ClickHouseStatus(quarantine=QuarantineSummary(4, 2, groups, 5), samples={"AB": "<b>"})


def get(application: Starlette, path: str, **headers: str) -> httpx.Response:
    """Return the answer to a GET from http://127.0.0.1."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8081") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


def post(application: Starlette, body: object, **headers: str) -> httpx.Response:
    """Return the answer to a request for a replay from http://127.0.0.1."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8081") as client:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            return await client.post("/api/replay", content=content, headers=headers)

    return asyncio.run(ask())


def basic(password: str) -> str:
    """Return a Basic authorization with any user name."""
    return "Basic " + base64.b64encode(f"me:{password}".encode()).decode()


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": b"Basic \xe9"},
        {"authorization": b"Bearer \xff"},
        {"origin": b"http://["},
        {"origin": b"\xff", "host": b"\xff"},
        {"host": b"[", "content-type": b"\xff"},
    ],
    ids=str,
)
@pytest.mark.parametrize("token", [SESAME, None])
def test_headers_of_any_bytes_are_answered(
    page_state: PageState, headers: dict[str, bytes], token: str | None
) -> None:
    """None of them causes an error of ours."""
    given = [(name.encode(), value) for name, value in headers.items()]
    message = {"type": "http.request", "body": b"\xff"}

    assert run(page(page_state, token), given, message) in {401, 403, 415}


def test_a_request_that_ends_early_is_no_error(page_state: PageState) -> None:
    """A disconnected client gets no answer, and the log no traceback."""
    given = [(name.encode(), value.encode()) for name, value in OURS.items()]

    assert run(page(page_state), [(b"host", b"127.0.0.1:8081"), *given], {"type": "http.disconnect"}) == 422


def run(application: Starlette, headers: list[tuple[bytes, bytes]], message: dict[str, Any]) -> int:
    """Return the status of a request for a replay, sent as one message."""
    scope = {"type": "http", "method": "POST", "path": "/api/replay", "query_string": b"", "headers": headers}
    statuses: list[int] = []

    async def receive() -> dict[str, Any]:
        return message

    async def send(answer: Any) -> None:
        if answer["type"] == "http.response.start":
            statuses.append(answer["status"])

    asyncio.run(application(scope, receive, send))
    return statuses[0]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("key", ["\x00", "a" * 60_000, "%ff", "..", "\u202e", "'"])
def test_any_key_is_answered(page_state: PageState, path: str, key: str) -> None:
    """404, or the named page."""
    page_state.saw(CLICKHOUSE, seen(WAITING), NOW)

    assert get(page(page_state), f"{path.rpartition('/')[0]}/{quote(key)}").status_code in {404, 200}


def test_the_schemas_are_a_page(page_state: PageState) -> None:
    """Of the catalog in use, as committed."""
    answer = get(page(page_state), "/schemas")

    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text == (HERE / "schemas.html").read_text()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "authorization", ["", "Bearer wrong", basic("wrong"), "Basic %%%", f"Digest {SESAME}"]
)
def test_a_token_is_asked_for_everywhere(page_state: PageState, path: str, authorization: str) -> None:
    """Without it nothing is shown, and a browser asks for it."""
    answer = get(page(page_state, SESAME), path, authorization=authorization)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert SESAME not in answer.text


@pytest.mark.parametrize("authorization", [f"Bearer {SESAME}", basic(SESAME), f"bearer {SESAME}"])
def test_the_token_opens(page_state: PageState, authorization: str) -> None:
    """As a password of any user, or as a bearer; from any host name."""
    answer = get(
        page(page_state, SESAME), "/api/snapshot", authorization=authorization, host="live.example.org"
    )

    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_need_no_token(page_state: PageState, path: str) -> None:
    """Kubernetes has none."""
    assert get(page(page_state, SESAME), path, host="10.0.0.7:8081").status_code != 401


@pytest.mark.parametrize(
    "host", ["rebound.example.org", "rebound.example.org:8081", "", "127.0.0.1.example.org"]
)
def test_without_a_token_only_this_machine_is_answered(page_state: PageState, host: str) -> None:
    """Neither a proxy's public name nor a site's name for 127.0.0.1 works."""
    assert get(page(page_state), "/api/snapshot", host=host).status_code == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8081", "[::1]:8081", "LocalHost:9"])
def test_this_machine_is_answered(page_state: PageState, host: str) -> None:
    """By each of its loopback names."""
    assert get(page(page_state), "/api/snapshot", host=host).status_code == 200


@pytest.mark.parametrize("path", ["/", "/api/snapshot", "/healthz", "/nowhere"])
def test_every_answer_is_shielded(page_state: PageState, path: str) -> None:
    """No inline script or style, no other host, no frame, no markup from text."""
    policy = get(page(page_state), path).headers["content-security-policy"]

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy


def test_the_page_puts_values_in_as_text() -> None:
    """Its script cannot turn a value into markup; its HTML has no inline script or style."""
    scripts = "".join(file.read_text() for file in STATIC.iterdir() if file.name.endswith(".js"))
    html = (STATIC / "index.html").read_text()

    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        'setAttribute("style"',
    ):
        assert way not in scripts
    assert "<style" not in html
    assert " style=" not in html
    assert not re.search(r"\son\w+\s*=", html)
    assert html.count("<script") == html.count('<script src="')


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"origin": "null"},
        {"origin": "https://example.org"},
        {"origin": "http://127.0.0.1:8082"},
        {"origin": "http://127.0.0.1:8081.example.org"},
        {"origin": "http://me@127.0.0.1:8081"},
        {"origin": "file://127.0.0.1:8081"},
        {"origin": "http://127.0.0.1:8081", "sec-fetch-site": "cross-site"},
        {"origin": "http://127.0.0.1:8081", "sec-fetch-site": "same-site"},
    ],
)
def test_no_other_site_can_begin_a_replay(page_state: PageState, headers: dict[str, str]) -> None:
    """A browser may hold a token or reach 127.0.0.1 for any site, but Origin names the site."""
    page_state.saw(CLICKHOUSE, seen(WAITING), 1)
    open_page = post(page(page_state), WANTED, **{"content-type": "application/json", **headers})
    with_token = post(page(page_state, SESAME), WANTED, authorization=basic(SESAME), **headers)

    assert (open_page.status_code, with_token.status_code) == (403, 403)
    assert page_state.replay is None


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_no_other_site_shows_what_the_page_knows(page_state: PageState, site: str) -> None:
    """Another page may not embed it as an image or a frame; following a link is allowed."""
    client = page(page_state)

    for path in ("/", "/api/snapshot", "/events", "/metrics"):
        assert get(client, path, **{"sec-fetch-site": site}).status_code == 403
    link = {"sec-fetch-site": site, "sec-fetch-mode": "navigate"}
    assert get(client, "/", **link).status_code == 200
    assert get(client, "/", **{"sec-fetch-site": "none"}).status_code == 200


def test_a_replay_needs_the_token(page_state: PageState) -> None:
    """Like everything, if one is set."""
    page_state.saw(CLICKHOUSE, seen(WAITING), 1)

    assert post(page(page_state, SESAME), WANTED, **OURS).status_code == 401


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (WANTED, "text/plain", 415),
        (b"{", "application/json", 422),
        (b"\xff", "application/json", 422),
        (b" " * 20_000, "application/json", 422),
        ({"reason": "invalid_field"}, "application/json", 422),
        (WANTED | {"pointer": "' OR 1 --"}, "application/json", 404),
        ({"reason": "not_json", "pointer": "", "source": "ingest"}, "application/json", 409),
    ],
)
def test_only_what_waits_can_be_replayed(
    page_state: PageState, body: object, content_type: str, status: int
) -> None:
    """A request must name a group that the page shows."""
    page_state.saw(CLICKHOUSE, seen(WAITING, REPLAYED), 1)
    answer = post(page(page_state), body, origin=OURS["origin"], **{"content-type": content_type})

    assert answer.status_code == status
    assert answer.json()["detail"]
    assert page_state.replay is None


def test_one_replay_at_a_time_and_a_failed_one_is_told(page_state: PageState) -> None:
    """The second is refused; the command's error is on the page."""
    page_state.saw(CLICKHOUSE, seen(WAITING), 1)
    whole = parts(page_state, Broadcaster(2, Metrics()))

    async def story() -> tuple[int, int]:
        transport = httpx.ASGITransport(app.build(whole))
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8081") as client:
            first = await client.post("/api/replay", json=WANTED, headers=OURS)
            second = await client.post("/api/replay", json=WANTED, headers=OURS)
            await (whole.replays._task or asyncio.sleep(0))
        return first.status_code, second.status_code

    assert asyncio.run(story()) == (202, 409)
    assert page_state.replay
    assert (page_state.replay.result, page_state.replay.total) == ("failed", 2)
    assert "KAFKA_BOOTSTRAP_SERVERS" in page_state.replay.words[0]


def test_stopping_ends_a_replay(page_state: PageState) -> None:
    """No process is left running."""
    whole = parts(page_state, Broadcaster(2, Metrics()))

    async def story() -> None:
        whole.replays.begin(WAITING)
        await asyncio.sleep(0)
        assert whole.replays._task
        whole.replays._task.cancel()
        await asyncio.wait([whole.replays._task])

    asyncio.run(asyncio.wait_for(story(), 20))
    assert not whole.replays.running


def test_no_text_of_an_event_becomes_sql() -> None:
    """A sender's reason or pointer becomes hexadecimal digits in the condition."""
    hostile = QuarantineGroup("'; DROP TABLE x; --", "\\' OR 1=1", "ingest", 1, 1, 1, "", "")
    found = condition(hostile)

    assert re.fullmatch(r"(leftUTF8\(toString\(\w+\), 200\) = unhex\('[0-9a-f]*'\)( AND )?){3}", found)
    assert b"'; DROP TABLE x; --".hex() in found


def test_events_and_samples_come_from_memory(page_state: PageState) -> None:
    """As JSON, for any content; missing ones are reported."""
    page_state.saw(CLICKHOUSE, seen(WAITING), 1)
    page_state.saw(
        KAFKA,
        KafkaStatus((), 1, None, 1, None, (RedactedEvent("0-1", 1, 1, "A", "b", "c", b'{"x":"<i>"}'),)),
        1,
    )
    answers = [
        get(page(page_state), f"/api/{path}")
        for path in ("samples/AB", "events/0-1", "samples/X", "events/X")
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 404, 404]
    assert [answer.json() for answer in answers[:2]] == [{"text": "<b>"}, {"x": "<i>"}]
    assert {answer.headers["content-type"] for answer in answers[:2]} == {"application/json"}


def test_nothing_else_can_be_sent(page_state: PageState) -> None:
    """The page changes nothing except by a replay."""

    async def ask() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(page(page_state))) as client:
            headers = {"origin": "http://localhost"}
            return (await client.post("http://localhost/api/snapshot", headers=headers)).status_code

    assert asyncio.run(ask()) == 405


def test_ready_after_the_first_look_at_clickhouse(page_state: PageState) -> None:
    """Before, it reports failed components; afterwards it stays ready, because it shows them."""
    application = page(page_state)
    before = get(application, "/readyz")
    found = window([(1, 1, "", 0, 0, 0, ([], []), (0.0, 0.0))], [], 1)
    page_state.saw(KAFKA, KafkaStatus((), 1, None, 1), 1)
    page_state.saw(CLICKHOUSE, ClickHouseStatus(window=found), 1)
    after = get(application, "/readyz")
    page_state.lost(CLICKHOUSE, "does not answer", 2)
    later = get(application, "/readyz")

    assert (before.status_code, before.json()["away"][CLICKHOUSE]) == (503, "not polled yet")
    assert (after.status_code, after.json()) == (200, {"ready": True, "away": {}})
    assert (later.status_code, later.json()["away"]) == (200, {CLICKHOUSE: "does not answer"})


def test_what_hangs_makes_the_page_unfit(page_state: PageState) -> None:
    """It would show old numbers as new ones, so it must be restarted."""
    page_state.saw(
        CLICKHOUSE, ClickHouseStatus(window=window([(1, 1, "", 0, 0, 0, ([], []), (0.0, 0.0))], [], 1)), 1
    )
    whole = replace(parts(page_state, Broadcaster(2, Metrics())), stalled=lambda: (KAFKA,))
    alive, ready = (get(app.build(whole), path) for path in ("/healthz", "/readyz"))

    assert (alive.status_code, alive.text) == (503, "hangs: kafka\n")
    assert (ready.status_code, ready.json()["away"][KAFKA]) == (503, "hangs")


def test_the_snapshot_is_of_now(page_state: PageState) -> None:
    """A state promised by /readyz is in the next snapshot, not in the one after."""
    before = json.loads(get(page(page_state), "/api/snapshot").content)
    page_state.lost(CLICKHOUSE, "does not answer", 5)
    after = json.loads(get(page(page_state), "/api/snapshot").content)

    assert (before["now_ms"], before["components"][0]["health"]) == (NOW, "unknown")
    assert after["components"][0]["health"] == "down"


def test_too_many_pages_are_refused(page_state: PageState) -> None:
    """503, with a time to retry."""
    broadcaster = Broadcaster(2, Metrics())
    broadcaster.close()
    answer = get(app.build(parts(page_state, broadcaster)), "/events")

    assert answer.status_code == 503
    assert answer.headers["retry-after"]
