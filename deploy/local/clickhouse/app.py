"""The paths of a ClickHouse server -> their endpoints: the ASGI application."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from deploy.local.clickhouse import play
from deploy.local.clickhouse.engine import Engine
from deploy.local.clickhouse.faults import FrontError
from deploy.local.clickhouse.queries import Queries
from deploy.local.clickhouse.running import Runner
from deploy.local.clickhouse.settings import Settings


def make_app(engine: Engine, settings: Settings) -> Starlette:
    """Build the application; its lifespan closes `engine`."""
    runner = Runner(engine, settings)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await runner.close()

    async def unknown(_: Request, error: Exception) -> Response:
        # The server logs the traceback.
        fault = FrontError(1001, "STD_EXCEPTION", f"std::exception. In the front: {type(error).__name__}")
        code = {"X-ClickHouse-Exception-Code": str(fault.code)}
        return PlainTextResponse(fault.text(engine.version), fault.status, code)

    ok = Route("/ping", _ok, methods=["GET", "HEAD"])
    replicas = Route("/replicas_status", _ok, methods=["GET", "HEAD"])
    page = Route("/play", _play, methods=["GET"])
    queries = Route("/", Queries(engine, runner, settings), methods=["GET", "HEAD", "POST"])
    return Starlette(
        routes=[ok, replicas, page, queries], lifespan=lifespan, exception_handlers={Exception: unknown}
    )


async def _ok(_: Request) -> Response:
    return PlainTextResponse("Ok.\n", media_type="text/html")


async def _play(_: Request) -> Response:
    page = await asyncio.to_thread(play.page)
    return HTMLResponse(page) if page else PlainTextResponse("This engine has no such page.\n", 404)
