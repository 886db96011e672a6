"""Settings of the stack -> the port of ingest's health, metrics and registry.

Invariant: if the usual port was taken, the chosen one is stored in the data folder, where all commands find
it.
"""

from collections.abc import Callable
from pathlib import Path

from deploy.local.settings import Settings

USUAL = 8083
_CANDIDATES = range(USUAL, 9083, 10)


def of(settings: Settings) -> int:
    """Return the port that is set, else the running stack's choice, else the usual one."""
    if settings.ingest_admin_port:
        return settings.ingest_admin_port
    try:
        return int(_file(settings).read_text())
    except (OSError, ValueError):
        return USUAL


def choose(settings: Settings, is_free: Callable[[int], bool]) -> int:
    """Choose the port of a starting stack; a port that is set is returned without a check."""
    if settings.ingest_admin_port:
        return settings.ingest_admin_port
    port = next(filter(is_free, _CANDIDATES), USUAL)
    _file(settings).write_text(f"{port}\n")
    return port


def _file(settings: Settings) -> Path:
    return settings.data_dir / "run" / "ingest-admin-port"
