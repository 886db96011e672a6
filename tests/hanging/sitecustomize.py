"""On PYTHONPATH of a stack: its live page's poll of Kafka hangs while the file TAPLINE_HANG exists."""

import os
import sys
import threading
import time
from typing import Any


def _patch(path: str) -> None:
    while not hasattr(sys.modules.get("consumers.live.kafka"), "KafkaSource"):
        time.sleep(0.01)
    kafka: Any = sys.modules["consumers.live.kafka"]
    poll = kafka.KafkaSource.poll

    def hanging(self: Any, now_ms: int) -> Any:
        while os.path.exists(path):  # noqa: PTH110 - before the path's libraries
            time.sleep(0.05)
        return poll(self, now_ms)

    kafka.KafkaSource.poll = hanging


if sys.orig_argv[1:3] == ["-m", "consumers.live"] and "TAPLINE_HANG" in os.environ:
    threading.Thread(target=_patch, args=(os.environ["TAPLINE_HANG"],), daemon=True).start()
