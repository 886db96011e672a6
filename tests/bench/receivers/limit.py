"""The limit: it reads the body and answers 200. Nothing is kept."""

from starlette.types import Receive, Scope, Send

from tests.bench.receivers.serve import serve

_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-length", b"2"), (b"content-type", b"text/plain")],
}
_BODY = {"type": "http.response.body", "body": b"ok"}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body", False):
        pass
    await send(_START)
    await send(_BODY)


if __name__ == "__main__":
    serve(app)
