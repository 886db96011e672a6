"""`session_id` -> the connection shared by its queries, for temporary tables and SET.

Invariants: one query of a session at a time. An unused session ends after its timeout, with its temporary
objects. The number of sessions is limited, and the longest unused one is evicted. For the event loop only.
Source: a server's session_id, session_timeout, session_check and close_session.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from deploy.local.clickhouse.engine import EngineConnection
from deploy.local.clickhouse.faults import FrontError

# A server's own: default_session_timeout, max_session_timeout.
_SECONDS, _SECONDS_MAX = 60, 3600


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """The session options of a request."""

    session_id: str
    seconds: str = ""
    must_exist: bool = False
    ends: bool = False


@dataclass(slots=True)
class _Session:
    held: EngineConnection = field(default_factory=EngineConnection)
    busy: bool = False
    ending: asyncio.TimerHandle | None = None


class Sessions:
    """The sessions of one engine."""

    def __init__(self, sessions_max: int) -> None:
        self._max = sessions_max
        self._sessions: dict[str, _Session] = {}
        self._closing = ThreadPoolExecutor(1, "session")

    @contextlib.asynccontextmanager
    async def of(self, wish: SessionRequest) -> AsyncIterator[EngineConnection | None]:
        """Yield the connection of the session, or None without a session. Raises: FrontError."""
        if not wish.session_id:
            yield None
            return
        seconds = _seconds(wish)
        session = self._taken(wish)
        session.busy = True
        try:
            yield session.held
        finally:
            session.busy = False
            if wish.ends:
                self._end(wish.session_id)
            else:
                loop = asyncio.get_running_loop()
                session.ending = loop.call_later(seconds, self._end, wish.session_id)

    async def close(self) -> None:
        """End all sessions. No query may be running."""
        for session_id in list(self._sessions):
            self._end(session_id)
        await asyncio.to_thread(self._closing.shutdown)

    def _taken(self, wish: SessionRequest) -> _Session:
        session = self._sessions.pop(wish.session_id, None)
        if session is None:
            if wish.must_exist:
                raise FrontError(372, "SESSION_NOT_FOUND", f"Session {wish.session_id!r} not found")
            self._make_room()
            session = _Session()
        # Moves it to the end of the order of use.
        self._sessions[wish.session_id] = session
        if session.busy:
            detail = f"Session {wish.session_id!r} is locked by a concurrent client"
            raise FrontError(373, "SESSION_IS_LOCKED", detail)
        if session.ending:
            session.ending.cancel()
        return session

    def _make_room(self) -> None:
        if len(self._sessions) < self._max:
            return
        resting = next((key for key, session in self._sessions.items() if not session.busy), None)
        if resting is None:
            raise FrontError(
                202, "TOO_MANY_SIMULTANEOUS_QUERIES", f"Too many sessions. Maximum: {self._max}."
            )
        self._end(resting)

    def _end(self, session_id: str) -> None:
        session = self._sessions.pop(session_id)
        if session.ending:
            session.ending.cancel()
        self._closing.submit(session.held.close)


def _seconds(wish: SessionRequest) -> int:
    if not re.fullmatch(r"\d{0,9}", wish.seconds, re.ASCII):
        raise FrontError(374, "INVALID_SESSION_TIMEOUT", f"Invalid session timeout: {wish.seconds!r}")
    seconds = int(wish.seconds or _SECONDS)
    if seconds > _SECONDS_MAX:
        detail = f"Session timeout {seconds} is larger than max_session_timeout: {_SECONDS_MAX}"
        raise FrontError(374, "INVALID_SESSION_TIMEOUT", detail)
    return seconds
