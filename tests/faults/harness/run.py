"""Options -> one run: a stack is started, used, broken, healed and judged.

Invariants: the judge runs only after everything is healed and the loader has caught up, or after a time
limit; a failed run keeps its folder. Source: docs/failures.md.
"""

import contextlib
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import httpx
import msgspec

from consumers.kit.errors import TransientError
from tests.faults.harness import order, plan, repair
from tests.faults.harness.caught_up import CaughtUp
from tests.faults.harness.cluster import BROKERS
from tests.faults.harness.expected import Expected, Figures
from tests.faults.harness.judge import FRESH_APP, Judge
from tests.faults.harness.nemesis import Done, Nemesis, carried_out
from tests.faults.harness.posts import Posts
from tests.faults.harness.sender import Arguments, command
from tests.faults.harness.world import World
from tests.support.process import Child
from tests.support.stack import ROOT
from tests.support.waiting import patience
from tests.support.web import WEB

# Waits for a dead loader's session (45 s by default); a batch full of poison takes many inserts.
_STANDING_SECONDS_MAX = 180.0
_SENDER_SECONDS_MAX = 330.0
_FRESH_SECONDS_MAX = 30.0
_FRESHNESS_SECONDS_MAX = 10.0  # of the metric, without faults
_POLL_SECONDS = 0.2
_TELL_SECONDS = 10.0


class Options(msgspec.Struct, frozen=True):
    """The options of a run."""

    seed: int
    seconds: float  # minimum time under faults
    events: int  # minimum number of acknowledged posts
    faults: int  # minimum number of faults
    rate: float  # posts per second; 0: as fast as they are answered
    connections: int
    cluster: bool
    network: bool  # its brokers have hosts of their own, and only the network between them fails
    only: tuple[str, ...]  # names of faults; empty: all
    hands: int
    session_ms: int  # session timeout of a loader in its group
    sample: int  # events compared value by value
    folder: Path
    again: bool = False  # only judge the folder of an earlier run


class Outcome(msgspec.Struct):
    """The result of a run."""

    complaints: list[str]
    figures: Figures
    faults: dict[str, tuple[int, float]]  # name -> count, total seconds
    seconds: dict[str, float]  # phase -> duration
    notes: list[str]  # skipped faults, with reasons


class Run:
    """One run."""

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self._options = options
        self._say = say
        self._outcome = Outcome([], Figures(), {}, {}, [])
        options.folder.mkdir(parents=True, exist_ok=True)
        self._world = World(
            options.folder,
            BROKERS if options.cluster else (),
            options.session_ms,
            has_network=options.network,
        )
        self._ledger = options.folder / "ledger.jsonl"
        self._done: list[Done] = []
        self._told = {"posts": 0, "acknowledged": 0}

    def run(self) -> Outcome:
        """Run and return the outcome; everything that was started has ended."""
        try:
            with self._timed("start"):
                self._world.start()
            if self._options.again:
                self._remember()
            else:
                with self._timed("faults"):
                    self._send_and_break()
                with self._timed("catch up"):
                    self._wait_caught_up()
            with self._timed("judge"):
                self._judge()
        finally:
            self._world.stop()
        return self._outcome

    def _left_out(self) -> set[str]:
        """Return the faults that are impossible here, and log why."""
        left_out = dict(repair.left_out())
        if self._world.disk is None:
            left_out["full"] = "no right to mount a small disk (needs root)"
        drawn = {choice.kind for choice in choices(self._options)}
        for kind in drawn & left_out.keys():
            self._outcome.notes.append(f"fault `{kind}` left out: {left_out[kind]}")
        return {*left_out}

    def _send_and_break(self) -> None:
        options = self._options
        hands = plan.hands(options.seed, options.hands, choices(options))
        nemesis = Nemesis(self._world, options.seed, hands, self._left_out())
        with self._sender() as sender:
            nemesis.start()
            try:
                self._wait_enough(sender, nemesis)
            finally:
                nemesis.stop(options.folder / "faults.jsonl")
            sender.send_signal(signal.SIGTERM)
            sender.wait(_SENDER_SECONDS_MAX)
        self._done = nemesis.done
        self._count(nemesis.done)

    def _remember(self) -> None:
        self._done = done = carried_out(self._options.folder / "faults.jsonl")
        self._count(done)
        self._outcome.seconds["faults"] = max(fault.at + fault.seconds for fault in done)
        self._outcome.notes.append("judged again, on the data that the run had left")
        self._world.table_dropped.set()
        self._world.column_dropped.set()
        self._world.refused.set()
        self._wait_caught_up()

    def _count(self, faults: Iterable[Done]) -> None:
        for done in faults:
            count, seconds = self._outcome.faults.get(done.name, (0, 0.0))
            self._outcome.faults[done.name] = (count + 1, seconds + done.seconds)

    def _wait_enough(self, sender: Child[bytes], nemesis: Nemesis) -> None:
        began = told = time.monotonic()
        options = self._options
        while True:
            now = time.monotonic()
            acknowledged, faults = self._told["acknowledged"], len(nemesis.done)
            if sender.poll() is not None or nemesis.failed:
                self._outcome.complaints.append("the harness itself failed: its sender or nemesis ended")
                return
            if now - told > _TELL_SECONDS:
                told = now
                self._say(f"{now - began:.0f} s: {acknowledged:,} acknowledged, {faults:,} faults")
            if now - began >= options.seconds and acknowledged >= options.events and faults >= options.faults:
                return
            time.sleep(_POLL_SECONDS)

    @contextlib.contextmanager
    def _sender(self) -> Iterator[Child[bytes]]:
        options = self._options
        arguments = Arguments(
            url=self._world.stack.ingest_url,
            seed=options.seed,
            ledger=str(self._ledger),
            rate=options.rate,
            connections=options.connections,
            other_ports=self._world.other_ports,
        )
        with Child[bytes](command(arguments), cwd=ROOT, stdout=subprocess.PIPE) as sender:
            threading.Thread(target=self._listen, args=(sender,), daemon=True).start()
            try:
                yield sender
            finally:
                if sender.poll() is None:
                    sender.kill()

    def _listen(self, sender: Child[bytes]) -> None:
        assert sender.stdout is not None
        for line in sender.stdout:
            self._told = msgspec.json.decode(line)

    def _wait_caught_up(self) -> None:
        """Wait until the spool is empty and the loader has committed everything; complain if it stalls."""
        caught_up = CaughtUp(self._world)
        moved = told = time.monotonic()
        before = ""
        while why := self._lagging(caught_up):
            now = time.monotonic()
            if now - told > _TELL_SECONDS:
                told = now
                self._say(why)
            if why != before:
                moved, before = now, why
            if now - moved > _STANDING_SECONDS_MAX:
                self._outcome.complaints.append(f"stands since {_STANDING_SECONDS_MAX:.0f} s: {why}")
                return
            time.sleep(_POLL_SECONDS)

    def _lagging(self, caught_up: CaughtUp) -> str:
        try:
            return caught_up.what_lags()
        except (httpx.HTTPError, TransientError, OSError) as error:
            return f"{type(error).__name__}: {error}"

    def _judge(self) -> None:
        outcome, options = self._outcome, self._options
        outcome.complaints += self._world.complaints
        outcome.complaints += repair.repair(self._world, options.folder)
        posts = Posts(options.seed)
        expected = Expected(self._world, posts)
        expected.load(self._ledger, self._world.foreign)
        outcome.figures = expected.figures
        outcome.complaints += expected.complaints[:20]
        judge = Judge(self._world, posts)
        outcome.complaints += judge.complaints()
        self._say("judge: values")
        outcome.complaints += list(judge.sample_complaints(options.sample))[:20]
        if not options.network:  # two ingests keep no order between them
            self._say("judge: order")
            outcome.complaints += order.complaints(self._world, self._done)
        self._say("judge: reconcile")
        outcome.complaints += repair.reconcile(self._world, options.folder, outcome.notes)
        fresh = self._freshness()
        outcome.seconds["fresh"] = fresh
        if fresh > _FRESH_SECONDS_MAX:
            outcome.complaints.append(f"an event after all faults cannot be queried within {fresh:.0f} s")

    def _freshness(self) -> float:
        """Return the seconds until a new event can be queried after healing."""
        event = msgspec.json.decode((ROOT / "deploy" / "samples" / "mobile" / "AppOpened.json").read_bytes())
        event |= {"app_id": FRESH_APP, "event_id": f"fresh-{time.time_ns()}"}
        began = time.monotonic()
        answer = WEB.post(self._world.stack.ingest_url, json=event, timeout=30)
        if answer.status_code != 200:
            self._outcome.complaints.append(f"an event after all faults was answered {answer.status_code}")
        query = f"SELECT count() FROM tapcart.app_opened WHERE event_id = '{event['event_id']}'"
        while self._world.sql(query) == b"0\n" and time.monotonic() - began < 2 * _FRESH_SECONDS_MAX:
            time.sleep(0.02)
        seconds = round(time.monotonic() - began, 2)
        self._outcome.complaints += self._stale()
        return seconds

    def _stale(self) -> list[str]:
        """Return a complaint unless the freshness for alerts is small and was computed just now."""
        deadline = time.monotonic() + _FRESH_SECONDS_MAX * patience()
        while True:
            fresh, age = -1.0, -1.0
            with contextlib.suppress(httpx.HTTPError):
                fresh = self._world.metric("tapline_live_freshness_seconds")
                age = time.time() - self._world.metric("tapline_live_freshness_at_seconds")
            if fresh < _FRESHNESS_SECONDS_MAX and 0 <= age + 1 < _FRESHNESS_SECONDS_MAX:
                return []
            if time.monotonic() > deadline:
                return [f"freshness: the metric says {fresh:.1f} s, computed {age:.1f} s ago"]
            time.sleep(_POLL_SECONDS)

    @contextlib.contextmanager
    def _timed(self, phase: str) -> Iterator[None]:
        self._say(phase)
        began = time.monotonic()
        yield
        self._outcome.seconds[phase] = round(time.monotonic() - began, 1)


def choices(options: Options) -> list[plan.Choice]:
    """Return the faults to draw from."""
    every = plan.cluster(BROKERS) if options.cluster else plan.single()
    every = plan.network() if options.network else every
    return [choice for choice in every if not options.only or choice.name in options.only]


def clean(folder: Path) -> None:
    """Remove the files of a successful run."""
    shutil.rmtree(folder, ignore_errors=True)
