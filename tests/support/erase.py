"""`tapline erase`, killed at a chosen step: `python -m tests.support.erase STEP OPTIONS...`.

The steps are its writes, to Kafka and to ClickHouse: it dies by SIGKILL before the one of that number, from
0 on. Without so many steps it ends like the command. It does not wait for readers of the topic.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from consumers import erase
from consumers.warehouse.errors import FAILURES
from consumers.warehouse.privacy import tombstone_writer
from consumers.warehouse.privacy.eraser import Eraser
from consumers.warehouse.removals import Removals
from runtime import command


def main(arguments: list[str]) -> int:
    """Run the command."""
    left = int(arguments[0])

    def dying(act: Callable[..., Any]) -> Callable[..., Any]:
        def acted(*given: Any) -> Any:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1
            return act(*given)

        return acted

    for owner, name in (
        (tombstone_writer, "write"),
        (Eraser, "_run"),
        (Removals, "start_rewriting"),
        (Removals, "wait"),
    ):
        setattr(owner, name, dying(getattr(owner, name)))
    setattr(erase, "STALE_SECONDS_MAX", 0.0)  # noqa: B010 - a constant
    return erase.main(arguments[1:])


if __name__ == "__main__":
    command.main("could not erase", lambda _: main(sys.argv[1:]), FAILURES)
