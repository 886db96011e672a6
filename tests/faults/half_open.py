"""Forwards one TCP port to another until its connections go silent: no byte and no FIN, as behind a firewall.

Invariant: a connection opened after `mute` works. Stopping a process is different: its connections recover.
"""

import asyncio
import contextlib
import threading
from collections.abc import Iterator

_READ_BYTES = 65536
_OPEN_SECONDS_MAX = 5.0


class Proxy:
    """Forwards connections from its own port to `port`."""

    def __init__(self, port: int, target_port: int) -> None:
        self.port = port
        self._target_port = target_port
        self._loop = asyncio.new_event_loop()
        self._generation = 0  # connections of earlier ones are mute
        self._open: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def running(self) -> Iterator["Proxy"]:
        """Forward until the block ends."""
        thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        thread.start()
        serving = asyncio.start_server(self._forward, "127.0.0.1", self.port)
        server = asyncio.run_coroutine_threadsafe(serving, self._loop).result(_OPEN_SECONDS_MAX)
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(self._close(server), self._loop).result(_OPEN_SECONDS_MAX)
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join()
            self._loop.close()

    def mute(self) -> None:
        """Silence every open connection forever."""
        self._generation += 1

    async def _close(self, server: asyncio.Server) -> None:
        server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        generation = self._generation
        self._open.add(task)
        with contextlib.closing(writer), contextlib.suppress(OSError):
            back, forth = await asyncio.open_connection("127.0.0.1", self._target_port)
            with contextlib.closing(forth):
                await asyncio.gather(
                    self._pipe(reader, forth, generation), self._pipe(back, writer, generation)
                )
        self._open.discard(task)

    async def _pipe(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, generation: int
    ) -> None:
        while data := await reader.read(_READ_BYTES):
            if generation == self._generation:
                writer.write(data)
                await writer.drain()
        # A mute connection does not end either.
        if generation == self._generation:
            writer.close()
