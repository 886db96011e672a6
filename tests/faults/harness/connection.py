"""Requests as bytes -> statuses, over one HTTP/1.1 connection, opened when needed.

Minimal, because the sender shares its machine with the tested stack. Measured on one core: 9,000 requests/s,
against 1,000 by httpx. Invariant: any error closes the connection, so no answer belongs to another request.
"""

import asyncio
import contextlib
import re
import ssl

_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)
_STATUS = slice(9, 12)  # HTTP/1.1 200 OK


class Connection:
    """One connection, one request at a time; with `trusted`, TLS to a server of that `name`."""

    def __init__(self, host: str, port: int, trusted: ssl.SSLContext | None = None, name: str = "") -> None:
        self._host = host
        self._port = port
        self._tls = {"ssl": trusted, "server_hostname": name} if trusted else {}
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def post(self, request: bytes, seconds_max: float) -> int:
        """Return the answer's status. Raises: OSError, EOFError, TimeoutError."""
        try:
            async with asyncio.timeout(seconds_max):
                return await self._post(request)
        except BaseException:
            self.close()
            raise

    async def hang_up(self, request: bytes, *, politely: bool) -> None:
        """Send `request`, complete or not, on a separate connection, and disconnect before the answer."""
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(5):
                _, writer = await self._open()
                writer.write(request)
                await writer.drain()
                if not politely:
                    writer.transport.abort()
                writer.close()

    def close(self) -> None:
        """Close the connection."""
        if self._streams:
            self._streams[1].close()
            self._streams = None

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._host, self._port, **self._tls)  # type: ignore[arg-type]

    async def _post(self, request: bytes) -> int:
        if self._streams and self._streams[0].at_eof():  # the server has closed, as any client notices
            self.close()
        if self._streams is None:
            self._streams = await self._open()
        reader, writer = self._streams
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = _LENGTH.search(head)
        await reader.readexactly(int(length[1]) if length else 0)
        if b"\r\nconnection: close\r\n" in head.lower():
            self.close()
        return int(head[_STATUS])


def request(path: str, headers: bytes, body: bytes, host: str = "tapline") -> bytes:
    """Build the bytes of a POST."""
    head = f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {len(body)}\r\n".encode()
    return head + b"content-type: application/json\r\n" + headers + b"\r\n" + body
