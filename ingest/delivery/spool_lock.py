"""The spool's folder -> the hold of one process on it."""

import fcntl
import os
from pathlib import Path

from runtime.environment import SettingsError


class SpoolInUseError(SettingsError):
    """Another process has the spool: each would remove what the other still writes."""


def hold(directory: Path) -> int:
    """Return a descriptor by which this process holds the spool until it ends; -1 where there is no folder.

    Raises: SpoolInUseError.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY)
    except OSError:
        return -1  # `Spool.open` says what is wrong with it
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise SpoolInUseError(
            f"INGEST_SPOOL_DIR: another process has the spool {directory} ({error.strerror}): "
            "end it, or give each a folder of its own"
        ) from error
    return descriptor
