"""What the page's server answers, and to whom."""

import asyncio
import base64
import json
from importlib.resources import files

import httpx
import pytest
from starlette.applications import Starlette

from consumers.live import app
from consumers.live.hub import Hub
from consumers.live.metrics import Metrics
from consumers.live.queries import window
from consumers.live.state import CLICKHOUSE, Board, Tables

NOW = 7
SESAME = "0123456789abcdef"
PATHS = ["/", "/live.js", "/live.css", "/icon.svg", "/api/snapshot", "/metrics", "/events"]
STATIC = files("consumers.live") / "static"


@pytest.fixture
def board() -> Board:
    """A board nobody has looked at yet."""
    return Board((CLICKHOUSE,), 0, 1000)


def page(board: Board, token: str | None = None) -> Starlette:
    """Return the application with one state published and its streams ended."""
    hub = Hub(2, Metrics())
    hub.publish(b'{"now_ms":1}')
    return app.build(board, hub, Metrics(), token, lambda: NOW)


def get(application: Starlette, path: str, **headers: str) -> httpx.Response:
    """Return the answer to a GET at http://127.0.0.1."""

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(application)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8081") as client:
            return await client.get(path, headers=headers)

    return asyncio.run(ask())


def basic(password: str) -> str:
    """Return a Basic authorization with any user name."""
    return "Basic " + base64.b64encode(f"me:{password}".encode()).decode()


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "authorization", ["", "Bearer wrong", basic("wrong"), "Basic %%%", f"Digest {SESAME}"]
)
def test_a_token_is_asked_for_everywhere(board: Board, path: str, authorization: str) -> None:
    """Without it nothing is shown, and a browser asks for it."""
    answer = get(page(board, SESAME), path, authorization=authorization)

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert SESAME not in answer.text


@pytest.mark.parametrize("authorization", [f"Bearer {SESAME}", basic(SESAME), f"bearer {SESAME}"])
def test_the_token_opens(board: Board, authorization: str) -> None:
    """As a password of any user, or as a bearer; from any host name."""
    answer = get(page(board, SESAME), "/api/snapshot", authorization=authorization, host="live.example.org")

    assert answer.status_code == 200


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_probes_need_no_token(board: Board, path: str) -> None:
    """Kubernetes has none."""
    assert get(page(board, SESAME), path, host="10.0.0.7:8081").status_code != 401


@pytest.mark.parametrize(
    "host", ["rebound.example.org", "rebound.example.org:8081", "", "127.0.0.1.example.org"]
)
def test_without_a_token_only_this_machine_is_answered(board: Board, host: str) -> None:
    """Neither a proxy's public name nor one that a web site points at 127.0.0.1."""
    assert get(page(board), "/api/snapshot", host=host).status_code == 403


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8081", "[::1]:8081", "LocalHost:9"])
def test_this_machine_is_answered(board: Board, host: str) -> None:
    """By each of its names for itself."""
    assert get(page(board), "/api/snapshot", host=host).status_code == 200


@pytest.mark.parametrize("path", ["/", "/api/snapshot", "/healthz", "/nowhere"])
def test_every_answer_is_shielded(board: Board, path: str) -> None:
    """No inline script or style, no other host, no frame, no markup from text."""
    policy = get(page(board), path).headers["content-security-policy"]

    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy


def test_the_page_puts_values_in_as_text() -> None:
    """Its script has no way to make markup of a value, its HTML no inline script or style."""
    script = (STATIC / "live.js").read_text()
    html = (STATIC / "index.html").read_text()

    for way in (
        "innerHTML",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        'setAttribute("style"',
    ):
        assert way not in script
    assert "<style" not in html
    assert " style=" not in html
    assert " onload" not in html
    assert html.count("<script") == html.count('<script src="')


def test_only_get_is_answered(board: Board) -> None:
    """The page changes nothing."""

    async def ask() -> int:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(page(board))) as client:
            return (await client.post("http://localhost/api/snapshot")).status_code

    assert asyncio.run(ask()) == 405


def test_ready_after_the_first_look_at_clickhouse(board: Board) -> None:
    """Before, it says what is away; afterwards it stays ready, because it shows what is away."""
    application = page(board)
    before = get(application, "/readyz")
    seen = window([(1, "", 0, 0, ([], []), (0.0, 0.0))], [], 1)
    board.saw(CLICKHOUSE, Tables(window=seen), 1)
    after = get(application, "/readyz")
    board.lost(CLICKHOUSE, "does not answer", 2)
    later = get(application, "/readyz")

    assert (before.status_code, before.json()["away"]) == (503, {CLICKHOUSE: "not looked at yet"})
    assert (after.status_code, after.json()) == (200, {"ready": True, "away": {}})
    assert (later.status_code, later.json()["away"]) == (200, {CLICKHOUSE: "does not answer"})


def test_the_snapshot_is_of_now(board: Board) -> None:
    """What /readyz promises is in the next snapshot, not in the one after."""
    before = json.loads(get(page(board), "/api/snapshot").content)
    board.lost(CLICKHOUSE, "does not answer", 5)
    after = json.loads(get(page(board), "/api/snapshot").content)

    assert (before["now_ms"], before["components"][0]["health"]) == (NOW, "unknown")
    assert after["components"][0]["health"] == "down"


def test_too_many_pages_are_refused(board: Board) -> None:
    """503, and when to come back."""
    hub = Hub(2, Metrics())
    hub.close()
    answer = get(app.build(board, hub, Metrics(), None, lambda: NOW), "/events")

    assert answer.status_code == 503
    assert answer.headers["retry-after"]
