"""A stack to which nobody posts, with no page open -> each process's share of a core.

The stack has served traffic, everything is loaded, and no merge runs. Nothing asks any process while it is
measured. Source: proc(5) through psutil.
"""

import time

import psutil

from tests.bench.options import Options
from tests.bench.report import Section, goal, say, spread, table
from tests.bench.steady import fresh_stack
from tests.bench.usage import cpu_seconds
from tests.support.stack import Stack
from tests.support.waiting import eventually
from tests.support.warehouse import Tables, catch_up

_MOST_PERCENT = 4.0
# Of a smoke run, a usual one, a long one. Caches and compilers settle after the start; measuring is longer
# than the longest pause between two wake-ups, 30 s.
_SETTLE_SECONDS, _SECONDS = (1.0, 10.0, 60.0), (1.0, 35.0, 300.0)
_REST_SECONDS_MAX = 60.0
_NAMES = ("ingest", "kafka", "warehouse", "clickhouse", "live")
_REST = "supervisor"


def run(options: Options) -> Section:
    """Measure the shares, round by round."""
    seconds = options.pick(*_SECONDS)
    found: list[dict[str, float]] = []
    with fresh_stack() as stack:
        _rest(stack)
        time.sleep(options.pick(*_SETTLE_SECONDS))
        for _ in range(options.rounds):
            found.append(_shares(stack, seconds))
            say(", ".join(f"{name} {share:.2%}" for name, share in found[-1].items()))
    total = spread(sum(shares.values()) * 100 for shares in found)
    rows = [[name, spread(shares[name] * 100 for shares in found).text(2)] for name in (*_NAMES, _REST)] + [
        ["all", total.text(2)]
    ]
    about = f"{options.rounds} x {seconds:g} s after some traffic; nothing is posted, no page is open."
    goals = [goal("the whole stack, % of a core", total, most=_MOST_PERCENT)]
    return Section("idle", "Idle", about, goals, table(("process", "% of a core"), rows))


def _rest(stack: Stack) -> None:
    """Wait until everything is loaded and merged."""
    tables = Tables(stack.clickhouse_url)
    catch_up(stack.kafka)
    eventually(lambda: tables.one("SELECT count() FROM system.merges") == 0, _REST_SECONDS_MAX, "rest")


def _shares(stack: Stack, seconds: float) -> dict[str, float]:
    process = stack.process
    assert process is not None
    top = psutil.Process(process.pid)
    names = {stack.pid(name): name for name in _NAMES}
    family = [top, *top.children(recursive=True)]
    before = {one.pid: cpu_seconds(one) for one in family}
    began = time.monotonic()
    time.sleep(seconds)
    taken = time.monotonic() - began
    shares = dict.fromkeys((*_NAMES, _REST), 0.0)
    for one in family:
        shares[names.get(one.pid, _REST)] += (cpu_seconds(one) - before[one.pid]) / taken
    return shares
