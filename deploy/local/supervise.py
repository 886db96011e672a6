"""Services -> one supervisord that keeps them running until stopped.

Invariants: a service that dies is restarted within about a second, forever (see `starts`). All services end
when supervisord ends in any way, and supervisord ends with this process. They stop one after the other, in
reverse order of their start. Source: supervisord stops groups by falling priority, each before the next;
PR_SET_PDEATHSIG, prctl(2).
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from deploy.local import starts
from deploy.local.environment import variables
from deploy.local.errors import StackError
from deploy.local.services import Service, log_tail
from deploy.local.settings import ROOT
from runtime.waiting import wait_until

# A service that ends this often before it is ready is considered broken.
_STARTS_MAX = 4
_POLL_SECONDS = 0.1

_SUPERVISORD = """\
[supervisord]
nodaemon=true
silent=true
umask=077
logfile={log}/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
pidfile={run}/supervisord-own.pid
{user}
"""
# startsecs: supervisord restarts at once and forever; `child` adds the pauses.
_PROGRAM = """
[program:{name}]
command={command}
directory={root}
priority={priority}
autorestart=true
startsecs=0
startretries=1000000
stopsignal=TERM
stopwaitsecs={stop_seconds}
redirect_stderr=true
stdout_logfile={log}/{name}.log
stdout_logfile_maxbytes=20MB
stdout_logfile_backups=2
"""
_STOP_SECONDS = 30


@contextmanager
def running(
    services: list[Service], folder: Path, env: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run `services` on `folder` with `env`; on exit, stop them in order and wait."""
    config = folder / "run" / "supervisord.conf"
    config.write_text(_config(services, folder, env))
    command = _wrapped(folder, "supervisord", "SIGTERM", env, "")
    command += [sys.executable, "-m", "deploy.local.supervisord", "-c", str(config)]
    # In its own session, so that Ctrl-C reaches only this process, which stops the others.
    with subprocess.Popen(command, cwd=ROOT, env=dict(env), start_new_session=True) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()
            for path in (folder / "run").glob("*.pid"):
                path.unlink(missing_ok=True)
            starts.forget(folder / "run")


def wait_ready(service: Service, folder: Path, process: subprocess.Popen[bytes], seconds_max: float) -> None:
    """Wait until `service` is ready. Raises: StackError with the end of its log if it never is."""
    log = folder / "log" / f"{service.name}.log"
    pids: set[str] = set()

    def is_ready() -> bool:
        pids.add(_pid(folder, service.name))
        if len(pids) > _STARTS_MAX:
            raise StackError(f"{service.name} ends right after its start. The end of {log}:\n{log_tail(log)}")
        if process.poll() is not None:
            raise StackError(f"the supervisor ended. Its log is {log.parent / 'supervisord.log'}")
        with suppress(OSError):
            return service.ready()
        return False

    if not wait_until(is_ready, seconds_max, _POLL_SECONDS):
        raise StackError(
            f"{service.name} was not ready within {seconds_max:g} seconds. The end of {log}:\n{log_tail(log)}"
        )


def _pid(folder: Path, name: str) -> str:
    try:
        return (folder / "run" / f"{name}.pid").read_text()
    except OSError:
        return ""


def _config(services: list[Service], folder: Path, env: Mapping[str, str]) -> str:
    text = _SUPERVISORD.format(
        log=_escaped(folder / "log"),
        run=_escaped(folder / "run"),
        user="user=root" if os.getuid() == 0 else "",
    )
    for priority, service in enumerate(services):
        names = variables(service.name, env)
        wrapper = _wrapped(folder, service.name, "SIGKILL", names, service.keeper)
        command = shlex.join(wrapper + service.command)
        text += _PROGRAM.format(
            name=service.name,
            command=_escaped(command),
            root=_escaped(ROOT),
            priority=priority,
            stop_seconds=_STOP_SECONDS,
            log=_escaped(folder / "log"),
        )
    return text


def _wrapped(folder: Path, name: str, signal_name: str, names: Iterable[str], keeper: str) -> list[str]:
    child = [sys.executable, "-m", "deploy.local.child", str(folder / "run"), name, signal_name]
    return [*child, ",".join(names), keeper]


def _escaped(value: object) -> str:
    return str(value).replace("%", "%%")
