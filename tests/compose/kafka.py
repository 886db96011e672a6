"""The broker of deploy.local as a container's process, under the name `kafka`."""

import os
from pathlib import Path

from deploy.local import kafka
from tests.support.stack import ROOT

_DATA = Path("/var/lib/kafka/data")

if __name__ == "__main__":
    cache = _DATA / "cache"  # the checkout's is read-only here
    cache.mkdir(exist_ok=True)
    for jars in (ROOT / ".cache").glob("kafka-*"):
        if not (cache / jars.name).is_symlink():
            (cache / jars.name).symlink_to(jars.resolve())
    line = kafka.command(_DATA, cache, "kafka", 9092, print)
    os.execv(line[0], line)  # noqa: S606 - replaces this process on purpose
