"""A group of the quarantine -> a run of `python -m consumers.replay`, with its progress.

Invariants: one run at a time, in its own process, because it may take long and must not affect the page. The
SQL condition is built here from ClickHouse's values as hexadecimal digits, so no text of an event becomes
SQL. A run may be stopped and repeated at any time.
"""

import asyncio
import logging
import re
import sys
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from msgspec.structs import replace

from consumers.live.answers import QuarantineGroup
from consumers.live.metrics import Metrics
from consumers.live.page_state import PageState
from consumers.live.queries import KEY_CHARS_MAX
from consumers.live.redact import text_shortened
from consumers.live.state import Replay

_log = logging.getLogger(__name__)

_PROGRESS = re.compile(r"(\d+) put back, (\d+) stay")
_RESULTS = {0: "done", 1: "stays"}
_WORDS_MAX = 8
_LINE_BYTES_MAX = 1_000_000
_STOP_SECONDS_MAX = 5.0

Start = Callable[[str, Coroutine[Any, Any, None]], asyncio.Task[None]]


class Replays:
    """The replays of one live page process."""

    def __init__(
        self,
        env: Mapping[str, str],
        page_state: PageState,
        metrics: Metrics,
        clock_ms: Callable[[], int],
        start: Start,
    ) -> None:
        self._env = env
        self._start = start
        self._page_state = page_state
        self._metrics = metrics
        self._clock_ms = clock_ms
        self._task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        """Whether a replay is running."""
        return self._task is not None and not self._task.done()

    def begin(self, group: QuarantineGroup) -> None:
        """Start a replay of `group`, if none is running; the page shows its progress."""
        self._page_state.replay = Replay(
            group.reason, group.pointer, group.source, group.waiting, 0, 0, started_ms=self._clock_ms()
        )
        _log.info("replay_started", extra={"reason": group.reason, "rows": group.waiting})
        self._task = self._start("replay", self._run(condition(group)))

    async def _run(self, where: str) -> None:
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "consumers.replay", "--where", where,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                limit=_LINE_BYTES_MAX,
                env=self._env,
            )  # fmt: skip
        except OSError as error:
            self._finish(-1, [], [f"the replay could not be started: {error.strerror}"])
            return
        try:
            said, complained = await asyncio.gather(
                _lines(process.stdout, lambda _: None), _lines(process.stderr, self._progress)
            )
            status = await process.wait()
        finally:
            await _end(process)
        self._finish(status, said, complained)

    def _progress(self, line: str) -> None:
        found = _PROGRESS.match(line)
        if found and self._page_state.replay:
            placed, stays = map(int, found.groups())
            self._page_state.replay = replace(self._page_state.replay, placed=placed, stays=stays)

    def _finish(self, status: int, said: list[str], complained: list[str]) -> None:
        result = _RESULTS.get(status, "failed")
        # The first line is the total, which is shown as numbers.
        words = said[1:] if result != "failed" else complained[-1:]
        if self._page_state.replay:
            self._page_state.replay = replace(
                self._page_state.replay,
                ended_ms=self._clock_ms(),
                result=result,
                words=tuple(text_shortened(word) for word in words),
            )
        self._metrics.replays.labels(result).inc()
        _log.info("replay_ended", extra={"result": result})


def condition(group: QuarantineGroup) -> str:
    """Build the SQL condition for the rows of `group`."""
    columns = (("reason", group.reason), ("pointer", group.pointer), ("source", group.source))
    return " AND ".join(
        f"leftUTF8(toString({name}), {KEY_CHARS_MAX}) = unhex('{value.encode().hex()}')"
        for name, value in columns
    )


async def _lines(stream: asyncio.StreamReader | None, take: Callable[[str], None]) -> list[str]:
    """Pass each line of a stream to `take`; return the first lines and the last."""
    lines: list[str] = []
    if stream is None:
        return lines
    async for line in stream:
        text = line.decode("utf-8", "replace").strip()
        take(text)
        lines = [*lines[:_WORDS_MAX], text]
    return lines


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_SECONDS_MAX)
    except TimeoutError:
        process.kill()
        await process.wait()
