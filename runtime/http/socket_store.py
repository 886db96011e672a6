"""The sockets that outlive a process: taken over at its start, handed to its supervisor at its stop.

This is systemd's protocol, which `deploy.local.socket_keeper` speaks too. The supervisor holds the listening
sockets, so connections queue in their backlog while the process restarts. Idle connections go to the
supervisor's store and come back with the next start: closing one could meet a request that is on its way.

Invariant: a descriptor that was taken over is not inherited by children. Source: sd_listen_fds(3),
sd_notify(3), sd_pid_notify_with_fds(3).
"""

import array
import logging
import os
import select
import socket
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Self

_LOG = logging.getLogger(__name__)

LISTEN_FDS_START = 3
# Connections that may queue while a process restarts. The system limits it too, usually to the same number.
BACKLOG = 4096
STORED = "idle"  # the name of stored connections
_SEND_SECONDS_MAX = 1.0
_SETTLE_SECONDS_MAX = 5.0


@dataclass(frozen=True, slots=True)
class InheritedSockets:
    """The sockets that the supervisor passed to this process."""

    listening: tuple[socket.socket, ...] = ()
    connections: tuple[socket.socket, ...] = ()  # of an earlier process; between two requests


def inherited(env: MutableMapping[str, str]) -> InheritedSockets:
    """Take over the sockets that `env` announces, and remove the announcement."""
    pid, count, _ = (env.pop(name, "") for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"))
    if pid != str(os.getpid()):  # meant for a parent
        return InheritedSockets()
    sockets = [_socket(LISTEN_FDS_START + number) for number in range(int(count or 0))]
    listening = tuple(one for one in sockets if _listens(one))
    return InheritedSockets(listening, tuple(one for one in sockets if one not in listening))


def _socket(descriptor: int) -> socket.socket:
    one = socket.socket(fileno=descriptor)
    os.set_inheritable(descriptor, False)  # noqa: FBT003 - its only form
    one.settimeout(0)
    return one


def _listens(one: socket.socket) -> bool:
    return bool(one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))


class SocketStore:
    """The supervisor's store, at the address NOTIFY_SOCKET."""

    def __init__(self, address: str) -> None:
        self._address = address.replace("@", "\0", 1) if address.startswith("@") else address
        self.kept = 0

    @classmethod
    def from_env(cls, env: MutableMapping[str, str]) -> Self | None:
        """Return the store that `env` names, if any, and remove its name."""
        address = env.pop("NOTIFY_SOCKET", "")
        return cls(address) if address else None

    def keep(self, descriptor: int) -> bool:
        """Hand over a connection; return whether the supervisor took it."""
        taken = self._send(f"FDSTORE=1\nFDNAME={STORED}", [descriptor])
        self.kept += taken
        return taken

    def clear(self) -> None:
        """Have the supervisor close its copies of the connections that this process took over."""
        self._send(f"FDSTOREREMOVE=1\nFDNAME={STORED}")

    def ready(self) -> None:
        """Report that this process accepts requests."""
        self._send("READY=1")

    def settle(self) -> None:
        """Wait until the supervisor has everything that was sent, because it ignores a process that ended."""
        ours, theirs = os.pipe()
        sent = self._send("BARRIER=1", [theirs])
        os.close(theirs)
        waiting = select.poll()
        waiting.register(ours, 0)  # a hang-up is always reported
        if not sent or not waiting.poll(_SETTLE_SECONDS_MAX * 1000):
            _LOG.warning("supervisor_does_not_respond", extra={"connections": self.kept})
        os.close(ours)

    def _send(self, text: str, descriptors: Sequence[int] = ()) -> bool:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as box:
            box.settimeout(_SEND_SECONDS_MAX)
            try:
                box.sendmsg([text.encode()], rights if descriptors else [], 0, self._address)
            except OSError:  # the supervisor is stopping
                return False
        return True
