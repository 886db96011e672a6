"""`python -m deploy.local.supervisord -c FILE` -> supervisord, with two changes, until a signal ends it.

It notices within 0.1 s that a process ended: supervisord looks once a second, twice before it starts a
process again, and posts wait meanwhile. A process that ended in order is started again without a pause. FILE
is in the folder of `starts`.
"""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from supervisor import events
from supervisor.medusa import asyncore_25 as asyncore
from supervisor.options import ServerOptions
from supervisor.supervisord import Supervisor

from deploy.local import starts
from runtime import command

_LOOK_SECONDS = 0.1


class _Supervisor(Supervisor):  # type: ignore[misc] # untyped
    def runforever(self) -> None:
        """Supervise; `run` has removed earlier subscriptions."""
        events.subscribe(events.ProcessStateExitedEvent, self._note)
        super().runforever()

    def _note(self, exited: events.ProcessStateExitedEvent) -> None:
        if exited.expected:  # exit status 0
            starts.excuse(Path(self.options.configfile).parent, exited.process.config.name)


def main(arguments: Sequence[str]) -> int:
    """Supervise until a signal ends it."""
    options = ServerOptions()
    poll = options.poller.poll
    options.poller.poll = lambda _: poll(_LOOK_SECONDS)
    options.realize([*arguments])
    options.first, options.test = True, False
    with suppress(asyncore.ExitNow):
        _Supervisor(options).main()
    return 0


if __name__ == "__main__":
    command.main("supervisord", main)
