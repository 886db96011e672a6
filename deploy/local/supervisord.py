"""`python -m deploy.local.supervisord -c FILE` -> supervisord that notices within 0.1 s that a process ended.

supervisord itself looks once a second, twice before it starts a process again. Meanwhile posts wait.
"""

from collections.abc import Sequence

from supervisor.options import ServerOptions
from supervisor.supervisord import go

from runtime import command

_LOOK_SECONDS = 0.1


def main(arguments: Sequence[str]) -> int:
    """Supervise until a signal ends it."""
    options = ServerOptions()
    poll = options.poller.poll
    options.poller.poll = lambda _: poll(_LOOK_SECONDS)
    options.realize([*arguments])
    options.first, options.test = True, False
    go(options)
    return 0


if __name__ == "__main__":
    command.main("supervisord", main)
