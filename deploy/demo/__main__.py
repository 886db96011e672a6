"""Sends samples and some days of invented shoppers, then queries them: `python -m deploy.demo`.

Invariants: uses the running stack, or starts one for the duration. The invented events depend only on seed
and dates, so another run adds only events since the last. Exit status: 0; 1 if an acknowledged event cannot
be queried, or ingest answered unexpectedly; all else: see `runtime.command`.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain

from deploy.demo import stack
from deploy.demo.generator import Plan, Post, generate
from deploy.demo.results import QUERIES, QueryClient, wait_queryable
from deploy.demo.samples import samples
from deploy.demo.sender import NO_ANSWER, Pace, Tally, send
from runtime import command
from runtime.printable import printable_lines

_DAY_MS = 86_400_000
_QUERYABLE_SECONDS_MAX = 60.0
_PROGRESS_SECONDS = 0.1
_BAR_WIDTH = 32


def main(given: Sequence[str]) -> int:
    """Run the demo; return the exit status. Raises: StackError, QueryError."""
    arguments = _arguments(given)
    with _stack(arguments.url) as at:
        return _show(at, arguments)


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tapline demo",
        description="Send Tapcart's sample events and those of invented shoppers.",
    )
    parser.add_argument("--url", default="", help="ingest URL with its token (default: the running stack)")
    parser.add_argument("--rate", type=_positive, default=0.0, help="posts per second (default: unlimited)")
    parser.add_argument(
        "--events", type=_positive, default=1500.0, help="events per day over all apps (default: 1500)"
    )
    parser.add_argument("--days", type=_count, default=1, help="whole days before today (default: 1)")
    parser.add_argument("--apps", type=_count, default=3, help="number of invented apps (default: 3)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the invented shoppers (default: 1)")
    return parser.parse_args(given)


def _show(at: stack.Stack, arguments: argparse.Namespace) -> int:
    posts = _posts(arguments)
    back = f"{arguments.days} day(s) back until now"
    print(f"Sending {len(posts):,} posts: the 14 samples, and shoppers from {back}")
    with _bar(len(posts)) as progress:
        tally = asyncio.run(send(at.ingest_url, posts, Pace(arguments.rate), lambda t: progress(t.sent)))
    _print_tally(tally)
    clickhouse = QueryClient(at.clickhouse_login)
    try:
        missing = _wait(clickhouse, tally)
        for title, sql in QUERIES.items():
            answer = clickhouse.ask(sql, "PrettyCompactNoEscapes")
            print(f"\n{title}\n\n{sql}\n\n{printable_lines(answer)}", end="")
    finally:
        clickhouse.close()
    _print_end(at)
    return 1 if missing or tally.unexpected else 0


def _posts(arguments: argparse.Namespace) -> list[Post]:
    now_ms = time.time_ns() // 1_000_000
    plan = Plan(
        start_ms=(now_ms // _DAY_MS - arguments.days) * _DAY_MS,
        end_ms=now_ms,
        seed=arguments.seed,
        apps=arguments.apps,
        events_per_day=arguments.events,
    )
    return list(chain(samples(), generate(plan)))


def _wait(clickhouse: QueryClient, tally: Tally) -> int:
    ids = {app_id: sorted(event_ids) for app_id, event_ids in tally.acknowledged.items()}
    count = sum(map(len, ids.values()))
    started = time.monotonic()
    missing = wait_queryable(clickhouse, ids, _QUERYABLE_SECONDS_MAX)
    if missing:
        print(f"{missing:,} of {count:,} acknowledged events cannot be queried: see log/warehouse.log")
    else:
        print(f"All {count:,} acknowledged events can be queried, {time.monotonic() - started:.1f} s later")
    return missing


def _print_tally(tally: Tally) -> None:
    answers = ", ".join(f"{count:,} x {_status(status)}" for status, count in sorted(tally.statuses.items()))
    again = f"; {tally.retries:,} retried, as Tapcart does after 400 and 500" if tally.retries else ""
    print(f"Answers: {answers}{again}")
    for (expected, status), count in sorted(tally.unexpected.items()):
        print(f"  unexpected: {count:,} x {_status(status)} instead of {expected}")


def _status(status: int) -> str:
    return "no answer" if status == NO_ANSWER else str(status)


def _print_end(at: stack.Stack) -> None:
    if at.ours:
        print("\nThis demo's stack stops now; its data is kept. `make run` starts it again.")
    else:
        print(f"\nLive page: {at.live_url}   SQL: {at.clickhouse_url}")


@contextmanager
def _stack(url: str) -> Iterator[stack.Stack]:
    at = stack.outside(url) if url else stack.running(os.environ)
    if at:
        yield at
        return
    print("No stack runs: starting one", file=sys.stderr)
    with stack.started() as ours:
        yield ours


@contextmanager
def _bar(total: int) -> Iterator["_Bar"]:
    bar = _Bar(total)
    try:
        yield bar
    finally:
        bar.end()


class _Bar:
    """A progress line on standard error; silent without a terminal."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._shown = sys.stderr.isatty()
        self._started = time.monotonic()
        self._drawn = 0.0

    def __call__(self, done: int) -> None:
        """Draw the line, at a limited rate."""
        now = time.monotonic()
        if not self._shown or (now - self._drawn < _PROGRESS_SECONDS and done < self._total):
            return
        self._drawn = now
        filled = _BAR_WIDTH * done // self._total
        rate = done / max(now - self._started, 1e-9)
        line = f"\r  [{'#' * filled}{'.' * (_BAR_WIDTH - filled)}] {done:,}/{self._total:,}  {rate:,.0f}/s "
        print(line, end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """End the line."""
        if self._shown:
            print(file=sys.stderr)


def _positive(text: str) -> float:
    value = float(text)
    if value <= 0:
        raise argparse.ArgumentTypeError("must be more than 0")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


if __name__ == "__main__":
    command.main("demo", main)
