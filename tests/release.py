"""Writes the data folder of this version, for the test of upgrades: `python -m tests.release`."""

import sys
import tempfile
from pathlib import Path

from tests.support import release_folder


def main() -> None:
    """Write the file, and print its size."""
    with tempfile.TemporaryDirectory() as folder:
        file = release_folder.write(Path(folder) / "data")
    sys.stdout.write(f"{file.name}: {file.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
