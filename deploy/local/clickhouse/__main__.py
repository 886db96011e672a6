"""Environment -> the embedded ClickHouse engine behind ClickHouse's HTTP interface, until SIGTERM.

Invariant: the port, the settings and the password are read first; then the process gives up every right that
SQL does not need; only then is the engine loaded. `run/clickhouse/confined` lists what the kernel enforces.
"""

import asyncio
import logging
import math
import os
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from socket import socket

from starlette.types import ASGIApp

from deploy.local.clickhouse import configuration, sandbox
from deploy.local.clickhouse.settings import Settings
from runtime.http.gate import ConnectionLimits, Gate
from runtime.http.server import Port, bind, serve
from runtime.process import Process, main

_CODE = tuple(Path(__file__).resolve().parents[3] / name for name in ("deploy", "runtime"))
# A server's http_max_uri_size, plus room for headers.
_HEAD_BYTES_MAX = 1024 * 1024 + 64 * 1024
# Libraries, time zones, and the files from which the engine reads the kernel's limits and load.
_SYSTEM = """
    /lib /lib64 /usr/lib /usr/lib64 /usr/local/lib /etc/ld.so.cache /etc/localtime /usr/share/zoneinfo
    /dev/null /dev/zero /dev/random /dev/urandom
    /proc/self /proc/cpuinfo /proc/loadavg /proc/meminfo /proc/stat /proc/uptime /proc/sys/kernel /proc/sys/vm
    /sys/devices/system /sys/fs/cgroup /sys/kernel/mm
"""


def _serve(process: Process) -> None:
    settings = Settings.from_env(os.environ).with_password()
    sockets = bind(settings.host, settings.port, "CLICKHOUSE_PORT")
    config = configuration.write(settings)
    # When loaded, the library creates an engine of its own, in a folder there.
    os.environ["TMPDIR"] = str(configuration.folder(settings) / "tmp")
    holds = _confine(settings)
    print(f"confined: {', '.join(holds) or 'nothing'}", file=sys.stderr, flush=True)
    # The loaded engine has threads, and giving up rights affects only threads started later.
    from deploy.local.clickhouse.app import make_app  # noqa: PLC0415
    from deploy.local.clickhouse.engine import Engine  # noqa: PLC0415

    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    # Not uvloop: it closes a pipe's descriptor twice, and by then another file may have its number.
    asyncio.run(_run(process, make_app(Engine(settings, config), settings), sockets, settings))


async def _run(process: Process, app: ASGIApp, sockets: Sequence[socket], settings: Settings) -> None:
    stopping, seconds_max = asyncio.Event(), settings.shutdown_seconds_max
    # An insert may take as long as its sender.
    gate = Gate(ConnectionLimits(request_seconds_max=math.inf, head_bytes_max=_HEAD_BYTES_MAX))
    port = Port(app, sockets, gate)
    serving = serve([port], stopping, lifespan="on", timeout_graceful_shutdown=seconds_max)
    await process.keep(serving, stopping.set, {}, 2 * seconds_max)


def _confine(settings: Settings) -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    code = {Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    readable = [*code, *_CODE, *map(Path, _SYSTEM.split()), configuration.files(settings)]
    with (configuration.files(settings) / "confined").open("w") as file:
        holds = sandbox.enter(readable, [configuration.folder(settings), configuration.backups(settings)])
        file.write(" ".join(holds) + "\n")
    return holds


if __name__ == "__main__":
    main("ClickHouse", _serve)
