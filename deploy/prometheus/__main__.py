"""`python -m deploy.prometheus` -> a Prometheus that watches the stack, with its rules, until Ctrl-C.

Exit status: Prometheus's own; 1 not installed, 2 wrong settings.
"""

import os
import shutil
import sys

from deploy.local.errors import StackError
from deploy.local.settings import Settings
from deploy.prometheus.config import write


def main() -> int:
    """Become Prometheus, or return the exit status."""
    try:
        settings = Settings.from_env(os.environ)
    except StackError as error:
        print(f"prometheus: {error}", file=sys.stderr)
        return error.exit_status
    binary = shutil.which("prometheus")
    if not binary:
        print("prometheus: it is not installed (Debian: apt install prometheus)", file=sys.stderr)
        return 1
    folder = settings.data_dir / "prometheus"
    try:
        config = write(folder, settings)
    except OSError as error:
        print(f"prometheus: {folder}: {error.strerror}", file=sys.stderr)
        return 1
    at = f"127.0.0.1:{settings.prometheus_port}"
    print(f"alerts: http://{at}/alerts", flush=True)
    options = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}", "--log.level=warn"]
    command = ["prometheus", *options, f"--web.listen-address={at}"]
    return os.execv(binary, command)  # noqa: S606 - replaces this process on purpose


if __name__ == "__main__":
    sys.exit(main())
