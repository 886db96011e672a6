"""The ClickHouse front's application with a failing engine."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from deploy.local.clickhouse.app import make_app
from deploy.local.clickhouse.engine import _row
from deploy.local.clickhouse.settings import Settings


class _BrokenEngine:
    """Fails unexpectedly."""

    version = "26.9"
    timezone = "UTC"
    formats = frozenset({"TabSeparated"})

    def ask(self, _: str) -> list[object]:
        """Fail."""
        raise ZeroDivisionError

    def close(self) -> None:
        """Close nothing."""


def test_an_error_that_nobody_expects_has_a_code(tmp_path: Path) -> None:
    """Like a server's, for an exception that is not its own."""
    engine: Any = _BrokenEngine()
    app = make_app(engine, Settings.from_env({"DATA_DIR": str(tmp_path)}))

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.post("/", content="SELECT 1")

    answer = asyncio.run(ask())

    assert (answer.status_code, answer.headers["X-ClickHouse-Exception-Code"]) == (500, "1001")
    assert answer.text.startswith("Code: 1001. DB::Exception: std::exception.")


class _Killed:
    """A connection whose first query was killed: its row comes with the next."""

    def __init__(self) -> None:
        self._outputs = iter((b"", b"[1]\n[2]\n"))

    def query(self, *_: object) -> Any:
        """Run a query."""
        return SimpleNamespace(bytes=lambda: next(self._outputs))


def test_a_row_is_that_of_the_query_whatever_a_killed_one_left() -> None:
    """Two rows would be no JSON."""
    killed: Any = _Killed()

    assert _row(killed, b"SELECT 2") == [2]


@pytest.mark.parametrize("content", [b"hush", b"hush\n"])
def test_the_password_may_be_in_a_file(tmp_path: Path, content: bytes) -> None:
    """It is read once, before the process loses the right to read it."""
    path = tmp_path / "password"
    path.write_bytes(content)
    settings = Settings.from_env({"CLICKHOUSE_PASSWORD_FILE": str(path)}).with_password()

    assert settings.password.get_secret_value() == "hush"
