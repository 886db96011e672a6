"""Environment -> the embedded ClickHouse engine behind ClickHouse's HTTP interface, until SIGTERM.

Invariant: the port, the settings and the password come first; then the process gives up whatever SQL has no
use for, and only then is the engine loaded. `run/clickhouse/confined` names what the kernel holds it to.
"""

import os
import socket
import sys
import sysconfig
from pathlib import Path

import uvicorn

from deploy.local.clickhouse import configuration, sandbox
from deploy.local.clickhouse.settings import Settings
from schemas.environment import SettingsError

_CODE = tuple(Path(__file__).resolve().parents[3] / name for name in ("deploy", "schemas"))
# Libraries, time zones, and what the engine asks the kernel about its limits and load.
_SYSTEM = """
    /lib /lib64 /usr/lib /usr/lib64 /usr/local/lib /etc/ld.so.cache /etc/localtime /usr/share/zoneinfo
    /dev/null /dev/zero /dev/random /dev/urandom
    /proc/self /proc/cpuinfo /proc/loadavg /proc/meminfo /proc/stat /proc/uptime /proc/sys/kernel /proc/sys/vm
    /sys/devices/system /sys/fs/cgroup /sys/kernel/mm
"""


def main() -> int:
    """Serve until a signal ends it; return the exit status."""
    try:
        settings = Settings.from_env(os.environ).with_password()
        listening = _bound(settings)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 2
    config = configuration.write(settings)
    # The library makes an engine of its own when it is loaded, in a folder there.
    os.environ["TMPDIR"] = str(configuration.folder(settings) / "tmp")
    holds = _confine(settings)
    print(f"confined: {', '.join(holds) or 'nothing'}", file=sys.stderr, flush=True)
    # Loaded, the engine has threads, and what a process gives up is given up by later threads only.
    from deploy.local.clickhouse.app import make_app  # noqa: PLC0415
    from deploy.local.clickhouse.engine import Engine  # noqa: PLC0415

    server = uvicorn.Server(
        uvicorn.Config(
            make_app(Engine(settings, config), settings),
            # Not uvloop: it closes a pipe's descriptor twice, the second time when it is another's already.
            loop="asyncio",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=settings.shutdown_seconds_max,
        )
    )
    server.run(sockets=[listening])
    return 0


def _bound(settings: Settings) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.port))
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise SettingsError(f"CLICKHOUSE_PORT: {where} cannot be had ({error.strerror})") from error
    return listening


def _confine(settings: Settings) -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    code = {Path(paths[name]) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    readable = [*code, *_CODE, *map(Path, _SYSTEM.split()), configuration.files(settings)]
    with (configuration.files(settings) / "confined").open("w") as told:
        holds = sandbox.enter(readable, [configuration.folder(settings), configuration.backups(settings)])
        told.write(" ".join(holds) + "\n")
    return holds


if __name__ == "__main__":
    sys.exit(main())
