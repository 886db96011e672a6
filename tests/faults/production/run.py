"""Options -> one run: events flow, every part is restarted, a backup is taken, restored and filled up.

Invariants: a post is sent once, and one that is not answered 200 is a complaint; the judge of `make faults`
compares the running system and the restored one with the same ledger. Order in Kafka is not judged, because
there is none between two ingests.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import msgspec
import psutil

from consumers.kit.errors import TransientError
from tests.faults.harness import ledger
from tests.faults.harness.caught_up import CaughtUp
from tests.faults.harness.expected import Expected, Figures
from tests.faults.harness.judge import Judge
from tests.faults.harness.posts import Posts
from tests.faults.harness.sender import Arguments, command
from tests.faults.production.site import Site
from tests.support.process import Child
from tests.support.stack import ROOT
from tests.support.waiting import eventually

# Each sends some posts a second, so that all have left a Caddy before it closes them; so many of them that
# slow answers do not hold up the next posts.
_POSTS_PER_CONNECTION, _CONNECTIONS_MIN = 4, 8
_RESTARTS_FROM, _BACKUP_FROM, _PAUSE = 1 / 3, 0.85, 0.01  # shares of the time
_CAUGHT_UP_SECONDS_MAX = 1800.0
_TELL_SECONDS = 30.0
_ROWS = (
    "SELECT sum(total_rows) FROM system.tables WHERE database = 'tapcart_raw' AND engine LIKE '%MergeTree'"
)


class Options(msgspec.Struct, frozen=True):
    """The options of a run."""

    seed: int
    rate: float  # posts per second
    minutes: float  # of posts, at least
    sample: int  # events compared value by value
    folder: Path
    one_of_each: bool = False  # restart one broker, one ingest and one loader only


class Restart(msgspec.Struct, frozen=True):
    """One restart under load; times are microseconds of the monotonic clock."""

    name: str
    began_us: int
    ended_us: int
    posts: int = 0  # answered meanwhile
    slowest_ms: int = 0  # answer of these

    @property
    def seconds(self) -> float:
        """From the signal until the part is as before."""
        return (self.ended_us - self.began_us) / 1e6


class Outcome(msgspec.Struct):
    """The result of a run."""

    complaints: list[str] = []
    refused: int = 0  # posts that were not answered 200; a complaint too
    figures: Figures = msgspec.field(default_factory=Figures)
    restarts: list[Restart] = []
    seconds: dict[str, float] = {}
    busy_percent: float = 0.0  # of all cores, while events flowed
    rows_restored: int = 0
    rows: int = 0  # after the loaders caught up


class Run:
    """One run; leaving the context ends all that it started."""

    def __init__(self, options: Options, say: Callable[[str], None]) -> None:
        self._options, self._say, self.outcome = options, say, Outcome()
        self.ledger = options.folder / "ledger.jsonl"
        self._site = Site(options.folder)

    def __enter__(self) -> Self:
        """Return the run."""
        return self

    def __exit__(
        self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None
    ) -> None:
        """Stop everything; data stays."""
        self._site.stop()

    def run(self) -> Outcome:
        """Run and return the outcome; the restored system still runs."""
        with self._timed("start"):
            self._site.start()
        with self._timed("flow"):
            backup = self._flow()
        self._look_at_answers()
        self._catch_up("catch up")
        self._prove("running")
        with self._timed("restore"):
            self._site.restore(backup)
        self.outcome.rows_restored = self._rows()
        with self._timed("replay"):
            self._site.go_on()
            self._catch_up("catch up after the restore")
        self.outcome.rows = self._rows()
        self._prove("restored")
        return self.outcome

    def judge(self, name: str) -> list[str]:
        """Return what is wrong with the tables."""
        posts = Posts(self._options.seed, sound=True)
        with self._timed(f"judge the {name} system"):
            expected, judge = Expected(self._site, posts), Judge(self._site, posts)
            expected.load(self.ledger)
            self.outcome.figures = expected.figures
            found = [*judge.complaints(), *list(judge.sample_complaints(self._options.sample))[:20]]
        return [f"{name}: {one}" for one in found]

    def _prove(self, name: str) -> None:
        self.outcome.complaints += self.judge(name)
        with self._timed(f"reconcile the {name} system"), self._complaining(name):
            self._site.command("consumers.reconcile", env=self._site.loader_env)

    def _flow(self) -> Path:
        """Send while all is restarted; return the folder of the backup."""
        seconds = self._options.minutes * 60
        with self._sender() as sender:
            began = time.monotonic()
            psutil.cpu_percent()

            def wait_until(share: float) -> None:
                self._wait(sender, began + share * seconds)

            wait_until(_RESTARTS_FROM)
            for name, restart in self._site.restarts(one_of_each=self._options.one_of_each):
                at = time.monotonic()
                with self._complaining(f"restart of {name}"):
                    restart()
                now = time.monotonic()
                self.outcome.restarts.append(Restart(name, int(at * 1e6), int(now * 1e6)))
                self._say(f"{name} restarted in {now - at:.1f} s")
                self._wait(sender, now + _PAUSE * seconds)
            wait_until(_BACKUP_FROM)
            with self._timed("backup"):
                backup = self._site.backup()
            self._wait(sender, time.monotonic() + _PAUSE * seconds)  # posts that only Kafka has
            wait_until(1.0)
            self.outcome.busy_percent = psutil.cpu_percent()
            sender.terminate()
            assert sender.wait(120) == 0
        return backup

    def _wait(self, sender: Child[bytes], until: float) -> None:
        told = time.monotonic()
        while (now := time.monotonic()) < until:
            assert sender.poll() is None, "the sender has ended"
            if now - told > _TELL_SECONDS:
                told = now
                self._say(f"events flow; {until - now:.0f} s to the next step")
            time.sleep(min(0.2, until - now))

    @contextmanager
    def _sender(self) -> Iterator[Child[bytes]]:
        options = self._options
        arguments = Arguments(
            url=self._site.url,
            seed=options.seed,
            ledger=str(self.ledger),
            rate=options.rate,
            connections=max(_CONNECTIONS_MIN, round(options.rate / _POSTS_PER_CONNECTION)),
            once=True,
            authority=str(self._site.caddy.root),
        )
        with Child[bytes](command(arguments), cwd=ROOT, stdout=subprocess.DEVNULL) as sender:
            yield sender

    def _look_at_answers(self) -> None:
        """Complain about posts that were refused, and note the slowest answer of each restart."""
        entries = [*ledger.entries(self.ledger)]
        refused = [entry for entry in entries if entry.status != 200]
        self.outcome.refused = len(refused)
        if refused:
            named = ", ".join(f"{entry.number} ({entry.status})" for entry in refused[:10])
            self.outcome.complaints.append(f"{len(refused)} posts of {len(entries)} were refused: {named}")
        restarts = self.outcome.restarts
        for index, restart in enumerate(restarts):
            within = [e for e in entries if restart.began_us <= e.ended_us and e.began_us <= restart.ended_us]
            slowest = max((entry.milliseconds for entry in within), default=0)
            restarts[index] = msgspec.structs.replace(restart, posts=len(within), slowest_ms=slowest)

    def _catch_up(self, name: str) -> None:
        caught_up = CaughtUp(self._site)

        def is_done() -> bool:
            try:
                return not caught_up.what_lags()
            except (httpx.HTTPError, TransientError):
                return False

        with self._timed(name), self._complaining(name):
            eventually(is_done, _CAUGHT_UP_SECONDS_MAX, "everything is loaded")

    def _rows(self) -> int:
        return int(self._site.sql(_ROWS))

    @contextmanager
    def _complaining(self, name: str) -> Iterator[None]:
        """Go on after a failure, and judge what is there."""
        try:
            yield
        except AssertionError as error:
            self._say(f"{name}: {error}")
            self.outcome.complaints.append(f"{name}: {error}")

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self.outcome.seconds[name] = time.monotonic() - began
        self._say(f"{name}: {time.monotonic() - began:.1f} s")
