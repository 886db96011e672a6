"""`python -m deploy.prometheus` -> a Prometheus that watches the stack, with its rules, until Ctrl-C.

Exit status: Prometheus's own; 1 if it is not installed; all else: see `runtime.command`.
"""

import os
import shutil
from collections.abc import Sequence

from deploy.local.errors import StackError
from deploy.local.settings import Settings
from deploy.prometheus.config import write
from runtime import command


def main(_: Sequence[str]) -> int:
    """Become Prometheus. Raises: StackError, OSError."""
    settings = Settings.from_env(os.environ)
    binary = shutil.which("prometheus")
    if not binary:
        raise StackError("it is not installed (Debian: apt install prometheus)")
    folder = settings.data_dir / "prometheus"
    config = write(folder, settings)
    at = f"127.0.0.1:{settings.prometheus_port}"
    print(f"alerts: http://{at}/alerts", flush=True)
    options = [f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}", "--log.level=warn"]
    command = ["prometheus", *options, f"--web.listen-address={at}"]
    return os.execv(binary, command)  # noqa: S606 - replaces this process on purpose


if __name__ == "__main__":
    command.main("prometheus", main)
