"""`python -m tests.faults.outage --seconds 600 --rate 500`: Kafka hangs that long under this load.

Prints the answers' latencies and the time until all events could be queried after Kafka's return. Exit status
1 if an answer was not 200, the 99th percentile was over 100 ms, or catching up took over 60 s. Latency counts
from the planned time of a request, so that a stall cannot hide.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import time
from collections import deque
from pathlib import Path
from urllib.parse import urlsplit

from tests.faults.harness.connection import Connection, request
from tests.support.process import SAMPLES
from tests.support.stack import Stack
from tests.support.waiting import eventually
from tests.support.web import WEB

_CONNECTIONS = 64
_ANSWER_SECONDS_MAX = 0.1
_CATCH_UP_SECONDS_MAX = 60.0
_BODY = json.loads((SAMPLES / "ProductViewed.json").read_text())


def main() -> int:
    """Run on a separate stack; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--rate", type=int, default=500, help="events per second")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stack = Stack(Path(folder)).start()
        try:
            return _run(stack, arguments.seconds, arguments.rate)
        finally:
            stack.stop()


def _run(stack: Stack, seconds: float, rate: int) -> int:
    asyncio.run(_post(stack, range(rate), rate))  # a second of normal operation
    stack.kill("kafka", signal.SIGSTOP)
    try:
        answers = asyncio.run(_post(stack, range(rate, rate + int(seconds * rate)), rate))
    finally:
        stack.kill("kafka", signal.SIGCONT)
    began = time.monotonic()
    eventually(lambda: _queryable(stack) == rate + len(answers), 600, "every event to be queryable")
    catch_up = time.monotonic() - began
    waits = sorted(wait for _, wait in answers)
    p50, p99 = (waits[int(len(waits) * share)] for share in (0.5, 0.99))
    refused = sum(status != 200 for status, _ in answers)
    sys.stdout.write(
        f"Kafka hung for {seconds:.0f} s while {len(answers)} events came at {rate}/s\n"
        f"answers: {refused} not 200; p50 {p50 * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms, "
        f"max {waits[-1] * 1e3:.0f} ms\n"
        f"all queryable {catch_up:.1f} s after its return\n"
    )
    return int(refused > 0 or p99 > _ANSWER_SECONDS_MAX or catch_up > _CATCH_UP_SECONDS_MAX)


async def _post(stack: Stack, numbers: range, rate: int) -> list[tuple[int, float]]:
    """Return (status, seconds) of each event, sent at `rate` regardless of the answers."""
    url = urlsplit(stack.ingest_url)
    free = deque(Connection(url.hostname or "", url.port or 0) for _ in range(_CONNECTIONS))
    answers: list[tuple[int, float]] = []

    async def post(number: int, due: float) -> None:
        connection = free.popleft() if free else Connection(url.hostname or "", url.port or 0)
        body = json.dumps(_BODY | {"event_id": f"outage-{number}"}).encode()
        status = await connection.post(request(url.path, b"", body), 30)
        answers.append((status, time.perf_counter() - due))
        free.append(connection)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for index, number in enumerate(numbers):
            due = began + index / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            group.create_task(post(number, due))
    for connection in free:
        connection.close()
    return answers


def _queryable(stack: Stack) -> int:
    sql = "SELECT count() FROM tapcart.product_viewed WHERE startsWith(event_id, 'outage-')"
    return int(WEB.post(stack.clickhouse_url, content=sql, timeout=30).text)


if __name__ == "__main__":
    sys.exit(main())
