"""A file with a secret key -> its bytes, or everything that is wrong with it.

Invariant: no problem holds the key.
"""

import os
import stat
from pathlib import Path

from runtime.environment import SettingsError

_BYTES_MIN = 32


def read(variable: str, path: Path) -> bytes:
    """Return the key in the file that the setting `variable` names. Raises: SettingsError."""
    try:
        found = path.stat()
        key = path.read_bytes().strip()
    except OSError as error:
        raise SettingsError(f"{variable}: {path}: {error.strerror}") from error
    problems = []
    # A secret that Kubernetes mounts belongs to root, and its group is ours.
    group = stat.S_IRWXG if found.st_uid == os.geteuid() else stat.S_IWGRP
    if found.st_mode & (group | stat.S_IRWXO):
        problems.append(f"{variable}: {path}: others may use it: chmod 600")
    if len(key) < _BYTES_MIN:
        problems.append(f"{variable}: {path}: must have {_BYTES_MIN} bytes or more")
    if problems:
        raise SettingsError("\n".join(problems))
    return key
