"""The spool's folder -> an exclusive lock on it, held by this process."""

import fcntl
import os
from pathlib import Path

from runtime.environment import SettingsError


class SpoolInUseError(SettingsError):
    """Another process uses the spool: each would remove segments that the other still writes."""


def hold(directory: Path) -> int:
    """Lock the spool until this process ends; return the descriptor, or -1 if there is no folder.

    Raises: SpoolInUseError.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:
        return -1  # `Spool.open` reports the error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise SpoolInUseError(
            f"INGEST_SPOOL_DIR: another process uses the spool {directory} ({error.strerror}): "
            "stop it, or give each process its own folder"
        ) from error
    return descriptor
