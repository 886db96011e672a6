"""Number of starts of a service, and the pause before its next start: RUN_DIR/NAME.starts.

Invariants: a service that ran for a while, or ended in order, restarts at once. One that ends right after its
start waits twice as long each time, up to a limit, and is restarted forever. The count restarts with each
start of the stack.
"""

from pathlib import Path

import msgspec

_RAN_SECONDS = 3.0  # a service that ran this long had started
_PAUSE_SECONDS_MIN, _PAUSE_SECONDS_MAX = 0.5, 15.0


class Start(msgspec.Struct, frozen=True):
    """The last start of a service."""

    count: int  # number of starts
    pause_seconds: float  # pause before this start
    at: float  # end of the pause: seconds since 1970


def following(last: Start | None, now: float) -> Start:
    """Return the next start, at `now`."""
    if last is None:
        return Start(1, 0.0, now)
    has_run = now - last.at >= _RAN_SECONDS
    pause = 0.0 if has_run else min(max(2 * last.pause_seconds, _PAUSE_SECONDS_MIN), _PAUSE_SECONDS_MAX)
    return Start(last.count + 1, pause, now + pause)


def read(run_dir: Path, name: str) -> Start | None:
    """Return the last start of a service; None if there was none or it is unreadable."""
    try:
        return msgspec.json.decode(_path(run_dir, name).read_bytes(), type=Start)
    except (OSError, msgspec.DecodeError):
        return None


def write(run_dir: Path, name: str, start: Start) -> None:
    """Record a start."""
    new = _path(run_dir, name).with_suffix(".starts.new")
    new.write_bytes(msgspec.json.encode(start))
    new.replace(_path(run_dir, name))


def excuse(run_dir: Path, name: str) -> None:
    """Record that a service ended in order: however short it ran, it needs no pause."""
    if last := read(run_dir, name):
        write(run_dir, name, Start(last.count, 0.0, 0.0))


def forget(run_dir: Path) -> None:
    """Reset all counts."""
    for path in run_dir.glob("*.starts"):
        path.unlink(missing_ok=True)


def _path(run_dir: Path, name: str) -> Path:
    return run_dir / f"{name}.starts"
