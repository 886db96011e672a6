"""An ASGI application -> a server as ingest runs it: uvicorn with uvloop and httptools, one process."""

import os
from typing import Any

import uvicorn

TOPIC = os.environ.get("BENCH_TOPIC", "")
SERVERS = os.environ.get("BENCH_KAFKA", "")


def serve(app: Any) -> None:
    """Answer until SIGTERM."""
    port = int(os.environ["BENCH_PORT"])
    uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, log_level="warning", server_header=False)
