"""`python -m deploy.local.supervisord -c FILE` -> supervisord that notices within 0.1 s that a process ended.

supervisord itself looks once a second, twice before it starts a process again. Meanwhile posts wait.
"""

import sys

from supervisor.options import ServerOptions
from supervisor.supervisord import go

_LOOK_SECONDS = 0.1


def main(arguments: list[str]) -> None:
    """Supervise until a signal ends it."""
    options = ServerOptions()
    poll = options.poller.poll
    options.poller.poll = lambda _: poll(_LOOK_SECONDS)
    options.realize(arguments)
    options.first, options.test = True, False
    go(options)


if __name__ == "__main__":
    main(sys.argv[1:])
