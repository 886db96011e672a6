"""Settings -> the key of erased ids, if there is one."""

from pathlib import Path

from runtime import secret_key

NAME = "erasure.key"  # in the data folder of `make run`


def key_of(file: Path | None, data_dir: Path) -> bytes | None:
    """Return the key in `file`, else in the data folder; None: there is none. Raises: SettingsError."""
    if file is None:
        file = data_dir / NAME
        if not file.exists():
            return None
    return secret_key.read("ERASURE_KEY_FILE", file)
