"""A real Chromium, driven over its DevTools pipe: an address in, the page's own answers out.

Invariants: one process and one profile folder per browser, both gone afterwards; every wait has a deadline.
Source: https://chromedevtools.github.io/devtools-protocol/ (a NUL ends each message on the pipe).
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from select import select
from typing import Any

PATH = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars",
    "--disable-dev-shm-usage", "--remote-debugging-pipe",
)  # fmt: skip
# The protocol wants file descriptors 3 and 4; neither may be overwritten before it is copied.
_LAUNCHER = """
import os, sys
copies = [os.dup(os.dup(os.dup(int(number)))) for number in sys.argv[1:3]]
for copy, wanted in zip(copies, (3, 4)):
    os.dup2(copy, wanted)
os.execv(sys.argv[3], sys.argv[3:])
"""
_SECONDS_MAX = 20.0
_READ_BYTES = 1 << 16
_PHONE_WIDTH_MAX = 600


class Browser:
    """One tab."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._to, self._from = to_browser, from_browser
        self._buffer = b""
        self._calls = 0
        self._session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")

    def call(self, method: str, **parameters: object) -> dict[str, Any]:
        """Return the result of a DevTools command."""
        self._calls += 1
        message: dict[str, object] = {"id": self._calls, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        deadline = time.monotonic() + _SECONDS_MAX
        while True:
            answer = self._read(deadline)
            if answer.get("id") == self._calls:
                assert "error" not in answer, answer["error"]
                return dict(answer["result"])

    def open(self, url: str, width: int = 1440, height: int = 1000, scheme: str = "light") -> None:
        """Show `url` in a window of this size, in the light or dark scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", features=features)
        self.call("Page.navigate", url=url)
        self.wait("document.readyState === 'complete' && location.href !== 'about:blank'")

    def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, expression: str, seconds_max: float = _SECONDS_MAX) -> None:
        """Return once the expression is true."""
        deadline = time.monotonic() + seconds_max
        while not self.evaluate(expression):
            assert time.monotonic() < deadline, f"never true: {expression}\n{self.text()}"
            select([self._from], [], [], 0.05)

    def text(self) -> str:
        """Return what a reader sees."""
        return str(self.evaluate("document.body.innerText"))

    def screenshot(self, path: Path) -> None:
        """Write the whole page as PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(b64decode(shot["data"]))

    def _read(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select([self._from], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, "the browser does not answer"
            read = os.read(self._from, _READ_BYTES)
            assert read, "the browser has ended"
            self._buffer += read
        message, _, self._buffer = self._buffer.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """Yield a new browser whose profile lies in the empty folder `profile`."""
    assert PATH
    their_in, our_out = os.pipe()
    our_in, their_out = os.pipe()
    process = subprocess.Popen(
        [
            sys.executable,
            "-c",
            _LAUNCHER,
            str(their_in),
            str(their_out),
            PATH,
            *_FLAGS,
            f"--user-data-dir={profile}",
        ],
        pass_fds=(their_in, their_out),
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(their_in)
    os.close(their_out)
    try:
        yield Browser(our_out, our_in)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(_SECONDS_MAX)
        os.close(our_out)
        os.close(our_in)
