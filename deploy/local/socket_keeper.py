"""Ingest's listening sockets and idle connections, kept by `make run` while ingest restarts.

A small part of systemd's service manager. The wrapper of a service (`deploy.local.child`) fetches all sockets
before each start. ingest hands over its idle connections before it ends (`runtime.http.socket_store`).

Invariants: the keeper listens until the stack stops, so no restart or crash of ingest refuses a connection.
Only the owner of the data folder can reach the keeper: its address leads through that folder, whose own path
can be too long for a socket.
"""

import contextlib
import os
import socket
import threading
from collections.abc import Sequence
from pathlib import Path

from runtime.http.socket_store import BACKLOG

FETCH = "FETCH=1"
_STOP = "STOP=1"
_CONNECTIONS_MAX = 10_000  # INGEST_CONNECTIONS_MAX
_TEXT_BYTES_MAX = 4096
_DESCRIPTORS_MAX = 250  # the kernel passes 253 at once


class SocketKeeper:
    """Keeps sockets from its creation until `close`."""

    def __init__(self, listening: Sequence[socket.socket], run_dir: Path) -> None:
        self._listening = listening
        for one in listening:
            one.listen(BACKLOG)
        self._stored: list[int] = []
        self._folder = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY)
        (run_dir / "sockets").unlink(missing_ok=True)
        self.address = f"/proc/{os.getpid()}/fd/{self._folder}/sockets"
        self._box = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._box.bind(self.address)
        self._thread = threading.Thread(target=self._run, name="socket-keeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Refuse new connections from now on, and close the stored ones."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.sendto(_STOP.encode(), self.address)
        self._thread.join()
        self._box.close()
        os.close(self._folder)

    def _run(self) -> None:
        while True:
            text, descriptors, _, _ = socket.recv_fds(self._box, _TEXT_BYTES_MAX, _DESCRIPTORS_MAX)
            lines = text.decode().splitlines()
            if "FDSTORE=1" in lines and len(self._stored) < _CONNECTIONS_MAX:
                self._stored += descriptors
                continue
            if "FDSTOREREMOVE=1" in lines or _STOP in lines:
                self._drop_stored()
            if FETCH in lines:
                self._pass_on(descriptors[0])
            for descriptor in descriptors:  # BARRIER=1 waits for this
                os.close(descriptor)
            if _STOP in lines:
                for one in self._listening:
                    one.close()
                return

    def _drop_stored(self) -> None:
        for descriptor in self._stored:
            os.close(descriptor)
        self._stored.clear()

    def _pass_on(self, descriptor: int) -> None:
        everything = [one.fileno() for one in self._listening] + self._stored
        with socket.socket(fileno=os.dup(descriptor)) as reader, contextlib.suppress(OSError):
            for first in range(0, len(everything), _DESCRIPTORS_MAX):
                socket.send_fds(reader, [b"."], everything[first : first + _DESCRIPTORS_MAX])


def fetch(address: str) -> list[int]:
    """Return copies of the sockets that the keeper at `address` keeps."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as box:
            box.connect(address)
            socket.send_fds(box, [FETCH.encode()], [theirs.fileno()])
        found: list[int] = []
        while True:
            text, descriptors, _, _ = socket.recv_fds(ours, 1, _DESCRIPTORS_MAX)
            if not text:
                return found
            found += descriptors
