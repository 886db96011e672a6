"""`python -m deploy.local` -> the whole pipeline on this machine, until Ctrl-C or SIGTERM.

Standard output gets one line: `ready <ingest URL> clickhouse=<URL> kafka=<host:port> live=<URL>`; all else
goes to standard error. Exit status: 0 stopped on request, 1 could not start or continue, 2 invalid arguments
or settings, or a port is taken; all else: see `runtime.command`.
"""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NoReturn

from deploy.local import admin_port, environment, kafka, secret, services, supervise
from deploy.local import folder as data_folder
from deploy.local.child import die_with_parent, parent_handles
from deploy.local.errors import StackError, WrongSettingsError
from deploy.local.settings import Settings
from deploy.local.socket_keeper import SocketKeeper
from runtime import command, descriptors
from runtime.http.server import bind

_CHECK_SECONDS = 0.5
_METRICS_PORT = 8082  # the loader's, next after live's


class _Stopped(BaseException):
    """SIGINT or SIGTERM arrived."""


def main(given: Sequence[str]) -> int:
    """Run the stack; return the exit status. Raises: StackError."""
    arguments = _arguments(given)
    if arguments.with_parent:
        die_with_parent(signal.SIGTERM)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    with contextlib.suppress(_Stopped):
        _run(Settings.from_env(os.environ), set(arguments.only), with_parent=arguments.with_parent)
    return 0


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tapline run", description="Run Tapline on this machine.")
    parser.add_argument(
        "--only", type=_names, default=list(services.NAMES), help="start only these, e.g. kafka,clickhouse"
    )
    parser.add_argument("--with-parent", action="store_true", help="stop when the parent process ends")
    return parser.parse_args(given)


def _names(text: str) -> list[str]:
    names = text.split(",")
    unknown = set(names) - set(services.NAMES)
    if unknown:
        known = ", ".join(services.NAMES)
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))}; known: {known}")
    return names


def _run(settings: Settings, only: set[str], *, with_parent: bool) -> None:
    began = time.monotonic()
    os.umask(0o077)
    settings = settings.model_copy(update={"data_dir": settings.data_dir.resolve()})
    folder, at = settings.data_dir, services.addresses(settings)
    names = services.started(settings, only)
    # The tokens are written later, after the folder has been checked.
    given = {"INGEST_TOKENS": settings.ingest_tokens.get_secret_value()}
    environment.check(
        environment.of_services(os.environ, str(folder), secret.path(settings), at) | given, names
    )
    data_folder.check(folder, settings.disk_free_bytes_min)
    with data_folder.locked(folder):
        for name in data_folder.clean_up(folder):
            _say(f"{name}: left over from a crash; ended")
        if "ingest" in names:
            settings = _with_admin_port(settings, services.ports(settings, names))
            at = services.addresses(settings)
        ports = services.ports(settings, names)
        _check_ports(ports)
        tokens = secret.keep(settings)
        secret.keep_erasure_key(settings)
        data_folder.write_password(folder, settings.clickhouse_password.get_secret_value())
        if (limit := descriptors.raise_limit()) < descriptors.NEEDED:
            _say(
                f"only {limit} files may be open at once, and ClickHouse may need {descriptors.NEEDED}: "
                "merges can fail. Raise it: `ulimit -Hn`, or nofile in /etc/security/limits.conf"
            )
        keeper = _keeper(settings, names)
        starting = services.services(settings, names, keeper.address if keeper else "", _say)
        env = environment.of_services(os.environ, str(folder), tokens, at)
        if "kafka" in names and not env.get("KAFKA_RETENTION_BYTES"):
            env.setdefault("INGEST_RETENTION_BYTES", str(kafka.retention_bytes(folder / "kafka")))
        if "warehouse" in names:
            env["WAREHOUSE_METRICS_PORT"] = str(_metrics_port(settings, ports))
        with supervise.running(starting, folder, env) as supervisor, _stopping(keeper):
            for service in starting:
                supervise.wait_ready(service, folder, supervisor, settings.start_seconds_max)
                _say(f"{service.name}: ready after {time.monotonic() - began:.1f} s")
            if confinement := data_folder.confinement(folder):
                _say(f"clickhouse: {confinement}")
            print(_ready_line(at, secret.secret(settings), only), flush=True)
            _wait(supervisor, with_parent=with_parent)
            raise StackError(
                f"the supervisor ended unexpectedly. Its log is {folder / 'log' / 'supervisord.log'}"
            )


def _wait(supervisor: subprocess.Popen[bytes], *, with_parent: bool) -> None:
    while supervisor.poll() is None:
        if with_parent and parent_handles(signal.SIGINT):
            raise _Stopped
        time.sleep(_CHECK_SECONDS)  # `wait` with a timeout would look twenty times a second


def _keeper(settings: Settings, names: set[str]) -> SocketKeeper | None:
    """Open ingest's port, if it is started: senders may connect from now on."""
    if "ingest" not in names:
        return None
    listening = bind(settings.ingest_host, settings.ingest_port, "INGEST_PORT")
    return SocketKeeper(listening, settings.data_dir / "run")


@contextlib.contextmanager
def _stopping(keeper: SocketKeeper | None) -> Iterator[None]:
    """Announce the stop, and ignore further signals meanwhile: supervisord bounds its duration."""
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        _say("stopping")
        if keeper:
            keeper.close()


def _with_admin_port(settings: Settings, ports: list[tuple[str, int, str]]) -> Settings:
    """Return the settings with a free port for ingest's health, metrics and registry."""
    taken = {port for _, port, _ in ports}

    def is_free(port: int) -> bool:
        return port not in taken and not _bind_error(settings.ingest_admin_host, port)

    port = admin_port.choose(settings, is_free)
    if port != (settings.ingest_admin_port or admin_port.USUAL):
        _say(f"ingest: admin port {port}, as {admin_port.USUAL} is taken; change it with INGEST_ADMIN_PORT")
    return settings.model_copy(update={"ingest_admin_port": port})


def _metrics_port(settings: Settings, ports: list[tuple[str, int, str]]) -> int:
    """Return the port for the loader's metrics; 0 (off) if it is taken, because loading needs no port."""
    port = _METRICS_PORT if settings.warehouse_metrics_port is None else settings.warehouse_metrics_port
    is_taken = port in {port for _, port, _ in ports} or _bind_error(settings.warehouse_metrics_host, port)
    if port and is_taken:
        _say(f"warehouse: no metrics, because port {port} is taken; change it with WAREHOUSE_METRICS_PORT")
    return 0 if is_taken else port


def _check_ports(ports: list[tuple[str, int, str]]) -> None:
    """Raise WrongSettingsError naming every unavailable port and the variable that changes it."""
    faults, seen = [], set()
    for host, port, variable in ports:
        if port in seen:
            faults.append(f"port {port} is set for two services: change {variable}")
        seen.add(port)
        if error := _bind_error(host, port):
            faults.append(f"{host}:{port} cannot be bound ({error}): change {variable}")
    if faults:
        raise WrongSettingsError("\n".join(faults))


def _bind_error(host: str, port: int) -> str:
    """Return why `port` cannot be bound, or ""."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.strerror or str(error)
    return ""


def _ready_line(at: services.Addresses, token: str, only: set[str]) -> str:
    ingest = f"{at.ingest}/tapcart_webhooks/{token}" if "ingest" in only else "-"
    live = at.live if "live" in only else "-"
    return f"ready {ingest} clickhouse={at.clickhouse} kafka={at.kafka} live={live}"


def _say(text: str) -> None:
    print(f"tapline: {text}", file=sys.stderr, flush=True)


def _stop(number: int, _: object) -> NoReturn:
    raise _Stopped(number)


if __name__ == "__main__":
    command.main("tapline", main)
