"""The broker of deploy.local as a container's process, under the name `kafka`."""

import os
from pathlib import Path

from deploy.local import kafka
from tests.support.stack import ROOT

if __name__ == "__main__":
    line = kafka.command(Path("/var/lib/kafka/data"), ROOT / ".cache", "kafka", 9092, print)
    os.execv(line[0], line)  # noqa: S606 - replaces this process on purpose
