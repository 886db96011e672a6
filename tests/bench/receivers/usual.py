"""The usual receiver: Starlette, json, fastavro, one future per report; `lingering`: larger batches."""

import json
import sys

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.bench.receivers.avro import encoded
from tests.bench.receivers.futures import Futures
from tests.bench.receivers.serve import SERVERS, TOPIC, serve

_futures: list[Futures] = []


async def receive(request: Request) -> JSONResponse:
    """Answer one request, once Kafka has its event."""
    if not _futures:  # made on the event loop
        _futures.append(Futures(SERVERS, lingering="lingering" in sys.argv))
    event = json.loads(await request.body())
    await _futures[0].send(TOPIC, encoded(event), event["app_id"])
    return JSONResponse({"kept": "kafka"})


if __name__ == "__main__":
    serve(Starlette(routes=[Route("/", receive, methods=["POST"])]))
