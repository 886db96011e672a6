"""`python -m tests.fuzz`: hostile input for every port and the topic of a stack of its own.

Exit status: 0 without findings, 1 with findings, 2 for wrong options. The same seed gives the same input.
"""

import argparse
import asyncio
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from confluent_kafka import Producer

from tests.fuzz import oracle, report
from tests.fuzz.attack import Attack, Target, ordinary, percentile
from tests.fuzz.case import Place
from tests.fuzz.generators import bodies, http, live, records, registry, sql
from tests.support.stack import ROOT, Stack

_CORPUS = Path(__file__).with_name("corpus")
_BASELINE_SHARE, _BASELINE_MAX = 0.2, 20_000
_SETTLE_SECONDS_MAX = 120.0
_P99_EVENTS_MIN = 500  # with fewer, a p99 is the slowest few requests, which depend on the machine
_SLOWER_MAX = 3.0  # ratio of ordinary traffic's p99 under attack to that under ordinary load
_P99_SECONDS_MIN = 0.05  # a lower p99 is noise on a busy machine


def main() -> int:
    """Return the exit status."""
    options = _parser().parse_args()
    if unknown := {*options.only.split(",")} - {*_GENERATORS, ""}:
        sys.stderr.write(f"unknown targets: {', '.join(sorted(unknown))}; known: {', '.join(_GENERATORS)}\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="tapline-fuzz-") as folder:
        data = Path(options.folder or folder)
        outcome = Run(options, data).run()
    command = (
        f"python -m tests.fuzz --seed {options.seed} --requests {options.requests} --rate {options.rate:g}"
        f" --connections {options.connections}"
    )
    sys.stdout.write(report.text(outcome, command))
    if options.report:
        options.report.write_text(report.markdown(outcome, command))
    return 1 if outcome.findings else 0


_GENERATORS = {
    "http": http.make,
    "bodies": bodies.make,
    "sql": sql.make,
    "registry": registry.make,
    "live": live.make,
    "records": records.make,
}


class Run:
    """One run on a stack of its own."""

    def __init__(self, options: argparse.Namespace, data: Path) -> None:
        self._options = options
        # In a long run one batch has thousands of records that ClickHouse rejects. The usual limit would stop
        # the loader, because so many rejections normally mean that the tables are wrong.
        env = {"INGEST_TOKENS": oracle.TOKEN, "WAREHOUSE_REFUSED_ROWS_MAX": "1000000"}
        self._stack = Stack(data, env=env)

    def run(self) -> report.Outcome:
        """Return the findings."""
        self._stack.start()
        try:
            return self._attack()
        finally:
            self._stack.stop()

    def _attack(self) -> report.Outcome:
        options = self._options
        corpus = {
            folder.name: [p.read_bytes() for p in sorted(folder.iterdir())]
            for folder in sorted(_CORPUS.iterdir())
        }
        place = Place(urlsplit(self._stack.ingest_url).path, oracle.TOKEN, corpus)
        port = urlsplit(self._stack.ingest_url).port or 0
        producer = Producer({"bootstrap.servers": self._stack.kafka, "partitioner": "murmur2_random"})
        run_dir, log_dir = self._stack.data_dir / "run", self._stack.data_dir / "log"

        base = Attack(place, port, None, options.seed)
        count = min(_BASELINE_MAX, max(500, int(options.requests * _BASELINE_SHARE)))
        self._phase(base, [ordinary("ordinary", port, oracle.webhook)], count)
        before = oracle.processes(run_dir)

        attack = Attack(place, port, producer, options.seed)
        began = time.monotonic()
        self._phase(attack, [*self._targets(port)], options.requests)
        seconds = time.monotonic() - began
        producer.flush(30)

        sys.stderr.write("all cases are sent; waiting until everything is loaded, then reconciling\n")
        findings = [*base.figures.findings, *attack.figures.findings, *self._settle(base, attack)]
        after = oracle.processes(run_dir)
        findings += [*oracle.changes(before, after), *oracle.tracebacks(log_dir), *self._reconcile()]
        p99 = percentile(base.figures.healthy, 0.99), percentile(attack.figures.healthy, 0.99)
        is_judged = len(attack.figures.healthy) >= _P99_EVENTS_MIN
        if is_judged and p99[1] > _SLOWER_MAX * max(p99[0], _P99_SECONDS_MIN):
            findings.append(f"ordinary traffic's p99 rose from {p99[0]:.3f} to {p99[1]:.3f} s")
        return report.Outcome(findings, attack.figures, before, after, p99, seconds)

    def _phase(self, attack: Attack, targets: list[Target], requests: int) -> None:
        options = self._options
        asyncio.run(
            attack.run(targets, requests=requests, rate=options.rate, connections=options.connections)
        )

    def _targets(self, ingest_port: int) -> Iterator[Target]:
        ports = {
            "http": (ingest_port, oracle.webhook),
            "bodies": (ingest_port, oracle.webhook),
            "sql": (urlsplit(self._stack.clickhouse_url).port or 0, oracle.sql_port),
            "registry": (int(self._stack.env["INGEST_ADMIN_PORT"]), oracle.api),
            "live": (urlsplit(self._stack.live_url).port or 0, oracle.api),
            "records": (0, oracle.api),
        }
        only = {*self._options.only.split(",")} - {""}
        for name, make in _GENERATORS.items():
            if not only or name in only:
                yield Target(name, ports[name][0], make, ports[name][1])

    def _settle(self, *phases: Attack) -> Iterator[str]:
        """Wait until ordinary events of both phases can be queried and freshness is small again."""
        ids = [event_id for phase in phases for event_id in phase.figures.healthy_ids]
        query = "SELECT count() FROM tapcart.app_opened WHERE app_id = 'healthy'"
        deadline = time.monotonic() + _SETTLE_SECONDS_MAX
        found, fresh = 0, -1.0
        while time.monotonic() < deadline:
            found = int(httpx.post(self._stack.clickhouse_url, content=query, timeout=60).text)
            fresh = _freshness(self._stack.live_url)
            if found >= len(ids) and 0 <= fresh < 5:
                return
            time.sleep(0.5)
        if found < len(ids):  # more were kept than were answered in time
            yield f"{len(ids)} ordinary events were acknowledged, {found} can be queried"
        if not 0 <= fresh < 5:
            yield f"freshness stands at {fresh} s"

    def _reconcile(self) -> Iterator[str]:
        at = {"KAFKA_BOOTSTRAP_SERVERS": self._stack.kafka, "CLICKHOUSE_URL": self._stack.clickhouse_url}
        done = subprocess.run(
            [sys.executable, "-m", "consumers.reconcile", "--wait", "120"],
            cwd=ROOT, env=self._stack.env | at, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            yield f"reconcile exits {done.returncode}: {(done.stdout + done.stderr)[-600:]}"


def _freshness(live_url: str) -> float:
    for line in httpx.get(f"{live_url}/metrics", timeout=30).text.splitlines():
        if line.startswith("tapline_live_freshness_seconds "):
            return float(line.split()[1])
    return -1.0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="cases in all (default: 20000)")
    parser.add_argument("--rate", type=float, default=400.0, help="cases a second at most (default: 400)")
    parser.add_argument("--connections", type=int, default=32, help="at once (default: 32)")
    parser.add_argument("--seed", type=int, default=1, help="of all cases (default: 1)")
    parser.add_argument("--only", default="", help=f"of: {', '.join(_GENERATORS)} (default: all)")
    parser.add_argument("--folder", default="", help="keep the stack's data there")
    parser.add_argument("--report", type=Path, help="write a page there")
    return parser


if __name__ == "__main__":
    sys.exit(main())
