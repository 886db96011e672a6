"""Options -> one run: people are planted, erased under faults, and all is tried that could bring them back.

Invariant: after the run that said "0 rows are left", nobody is erased again by hand.
"""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from random import Random

import httpx
import msgspec

from consumers.kit.errors import TransientError
from tests.analytics.posted import bodies
from tests.faults.erasing.flow import Flow
from tests.faults.erasing.judge import Judge
from tests.faults.erasing.people import EVENTS, Post, Posts
from tests.faults.harness import plan
from tests.faults.harness.caught_up import CaughtUp
from tests.faults.harness.nemesis import Nemesis
from tests.faults.harness.world import World
from tests.support.plain_files import store_plain
from tests.support.process import Child
from tests.support.stack import ROOT
from tests.support.waiting import eventually
from tests.support.warehouse import Tables

_KINDS = ("kill", "stop", "end", "second")
_SESSION_MS = 6000
_ANALYTICS = "month-"
_ANALYTICS_DEVICES = 5
_RETURNING = 1  # of the people: customers again after their erasure
_KILLED_AFTER_SECONDS = (1.5, 9.0)
_TRIES_MAX = 20
_SECONDS_MAX = 300.0


class Options(msgspec.Struct, frozen=True):
    """The options of a run."""

    seed: int
    seconds: float  # under faults, at least
    rate: float  # posts per second
    people: int
    kills: int  # erasures killed before one may end
    analytics: int  # posts that fill the analytics views
    hands: int  # faults at once
    folder: Path


class Outcome(msgspec.Struct):
    """The result of a run."""

    complaints: list[str] = []
    figures: dict[str, float] = {}
    seconds: dict[str, float] = {}


class Run:
    """One run."""

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self._options, self._say, self.outcome = options, say, Outcome()
        self._rng = Random(options.seed)
        self._posts = Posts(options.seed, options.people)
        prepared, devices = _prepared(options, self._rng)
        self._back, people = self._posts.people[:_RETURNING], self._posts.people
        self._ids_file = options.folder / "people.txt"
        options.folder.mkdir(parents=True, exist_ok=True)
        lines = [one.lines for one in people] + [f"device_id {one}\n" for one in devices]
        self._ids_file.write_text("".join(lines))
        self._ids = [*itertools.chain(*(one.ids for one in people[_RETURNING:])), *devices]
        self._world = World(options.folder, (), _SESSION_MS)
        self._judge = Judge(self._world, self._ids, [one.device for one in self._posts.others])
        self._flow_of: Callable[[], Flow] = lambda: Flow(
            self._world.stack.ingest_url, self._posts, prepared, options.rate, options.seed
        )
        self._parquet = options.folder / "parquet"

    def run(self) -> Outcome:
        """Run and return the outcome; everything that was started has ended."""
        try:
            with self._timed("start"):
                self._world.start()
                store_plain(Tables(self._world.stack.clickhouse_url))
            flow = self._flow_of()
            flow.start()
            try:
                self._break_and_erase(flow)
            finally:
                flow.stop()
            self._catch_up("catch up")
            self.outcome.figures |= {
                "posts kept": len(flow.kept), "of erased people": len(flow.about),
                "late retries": flow.late_retries, "given up": len(flow.gave_up),
            }  # fmt: skip
            self._judge_rows("after the faults", flow)
            self._bring_back(flow)
        finally:
            self._world.stop()
        return self.outcome

    def _break_and_erase(self, flow: Flow) -> None:
        options = self._options
        with self._exporting():
            eventually(lambda: len(flow.about) > options.people * 5, _SECONDS_MAX, "posts about people")
            self._command("deploy.backup")
            eventually(lambda: any(self._parquet.rglob("*.parquet")), _SECONDS_MAX, "a Parquet file")
        choices = [one for one in plan.single() if one.kind in _KINDS]
        nemesis = Nemesis(self._world, options.seed, plan.hands(options.seed, options.hands, choices), ())
        nemesis.start()
        began = time.monotonic()
        try:
            time.sleep(self._rng.uniform(1.0, 3.0))
            flow.stop_people()
            with self._timed("erase under faults"):
                self._erase()
            flow.come_back(self._back)
            kept = len(flow.kept)
            eventually(lambda: len(flow.kept) > kept + 5 * options.rate, _SECONDS_MAX, "later posts")
            time.sleep(max(0.0, options.seconds + began - time.monotonic()))
        finally:
            nemesis.stop(options.folder / "faults.jsonl")
        self.outcome.figures["faults"] = len(nemesis.done)

    def _erase(self) -> None:
        """Erase everybody: some runs are killed, later ones end by themselves, with an error or not."""
        arguments = ["--ids-file", str(self._ids_file)]
        for tries in range(_TRIES_MAX):
            is_killed = tries < self._options.kills
            seconds_max = self._rng.uniform(*_KILLED_AFTER_SECONDS) if is_killed else _SECONDS_MAX
            status = self._status("consumers.erase", *arguments, seconds_max=seconds_max)
            self._say(f"erase: {'killed' if status == -signal.SIGKILL else f'status {status}'}")
            if status == 0:
                self.outcome.figures["erasures killed"] = min(tries, self._options.kills)
                self.outcome.figures["erasures failed"] = max(0, tries - self._options.kills)
                return
        self.outcome.complaints.append(f"nobody is erased after {_TRIES_MAX} tries")

    def _bring_back(self, flow: Flow) -> None:
        """Try all that could bring somebody back, and judge after each."""
        with self._timed("replay and repair"):
            self._command("consumers.replay", "--from", "2020-01-01", "--to", "2100-01-01")
            self._command("consumers.reconcile", "--repair")
        self._judge_rows("after replay --from and reconcile --repair", flow)
        with self._timed("restore"):
            self._restore()
            self._catch_up("load after the restore")
        self._command("consumers.reconcile", "--repair")
        self._judge_rows("after the restore", flow)
        retried = self._retry_all(flow)
        self._catch_up("late retries")
        self._judge_rows("after late retries of every post", flow)
        self.outcome.figures["late retries"] += retried
        self.outcome.complaints += self._judge.analytics(flow.kept)
        self._command("consumers.examples.parquet_erase", str(self._parquet))
        with self._exporting():
            self._eventually_clean("parquet", lambda: [*self._judge.parquet(self._parquet, flow.kept)])
        self._eventually_clean("files", lambda: [*self._judge.files()])

    def _restore(self) -> None:
        data, lost = self._world.data, self._options.folder / "lost"
        self._world.stack.stop()
        lost.mkdir()
        shutil.move(data / "clickhouse", lost / "clickhouse")
        spool = (self._world.disk or data) / "spool"
        shutil.rmtree(spool)
        (backup,) = (data / "backups").iterdir()
        self._command("deploy.backup.restore", str(backup))
        self._world.stack.start()

    def _retry_all(self, flow: Flow) -> int:
        """Send every post about the people once more."""
        again = [post for post in flow.about if post.body in flow.kept]
        with httpx.Client(timeout=20) as client:
            for post in again:
                headers = dict(line.split(": ", 1) for line in post.headers.decode().splitlines())
                client.post(self._world.stack.ingest_url, content=post.body, headers=headers)
        return len(again)

    def _judge_rows(self, when: str, flow: Flow) -> None:
        early = {post.body for post in flow.about}
        back = [post for body, post in flow.kept.items() if post.is_about and body not in early]
        # For ten minutes, posts without a time of their own may be retries.
        open_ended = {post.event_id for post in back if post.view != EVENTS} | flow.gave_up
        kept = {
            body: replace(post, is_about=body in early)
            for body, post in flow.kept.items()
            if post.event_id not in open_ended
        }
        with self._timed("judge"):
            found = [*self._judge.rows(kept, open_ended)]
        self._say(f"{when}: {'; '.join(found) or 'nobody is back, nobody is lost'}")
        self.outcome.complaints += (f"{when}: {one}" for one in found)

    def _eventually_clean(self, what: str, search: Callable[[], list[str]]) -> None:
        """Complain about what is still found at the end: ClickHouse deletes files in the background."""
        found: list[str] = []

        def is_clean() -> bool:
            found[:] = search()
            return not found

        try:
            eventually(is_clean, _SECONDS_MAX, what)
        except AssertionError:
            self.outcome.complaints += found[:10]

    def _catch_up(self, name: str) -> None:
        caught_up = CaughtUp(self._world)

        def is_done() -> bool:
            try:
                return not caught_up.what_lags()
            except TransientError:
                return False

        with self._timed(name):
            eventually(is_done, _SECONDS_MAX, "everything is loaded")

    @contextlib.contextmanager
    def _exporting(self) -> Iterator[None]:
        """Run the Parquet example."""
        stack = self._world.stack
        at = {"KAFKA_BOOTSTRAP_SERVERS": stack.kafka, "INGEST_ADMIN_URL": stack.admin_url}
        command = [sys.executable, "-m", "consumers.examples.parquet", str(self._parquet), "1"]
        env = os.environ | stack.env | at
        log_file = self._options.folder / "parquet.log"
        with log_file.open("ab") as log, Child[bytes](command, cwd=ROOT, env=env, stderr=log) as child:
            yield
            child.terminate()

    def _command(self, module: str, *arguments: str) -> None:
        status = self._status(module, *arguments)
        if status:
            self.outcome.complaints.append(f"{module} exits {status}: see commands.log")

    def _status(self, module: str, *arguments: str, seconds_max: float = _SECONDS_MAX) -> int:
        stack = self._world.stack
        at = {"KAFKA_BOOTSTRAP_SERVERS": stack.kafka, "CLICKHOUSE_URL": stack.clickhouse_url}
        env = os.environ | stack.env | ({} if module.startswith("deploy.") else at)
        with (self._options.folder / "commands.log").open("ab") as log:
            log.write(f"--- {module} {' '.join(arguments)}\n".encode())
            log.flush()
            command = [sys.executable, "-m", module, *arguments]
            with Child[bytes](command, cwd=ROOT, env=env, stdout=log, stderr=log) as child:
                try:
                    return child.wait(seconds_max)
                except subprocess.TimeoutExpired:
                    child.kill()
                    return child.wait()

    @contextlib.contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        try:
            yield
        finally:
            self.outcome.seconds[name] = self.outcome.seconds.get(name, 0.0) + time.monotonic() - began
            self._say(f"{name}: {time.monotonic() - began:.1f} s")


def _prepared(options: Options, rng: Random) -> tuple[list[Post], list[str]]:
    """Return posts of a month for the analytics views, and the devices in it that are erased."""
    made = bodies(options.analytics, _ANALYTICS, apps=2, seed=options.seed) if options.analytics else []
    events = [msgspec.json.decode(body) for body in made]
    devices = sorted({event["device_id"] for event in events if event.get("device_id")})
    erased = rng.sample(devices, min(_ANALYTICS_DEVICES, len(devices)))
    posts = [
        Post(event["event_id"], any(one in body.decode() for one in erased), "", body, b"")
        for event, body in zip(events, made, strict=True)
    ]
    return posts[::-1], erased
