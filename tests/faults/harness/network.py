"""Brokers -> hosts of their own: a network namespace for each, and two networks that can be cut.

Clients reach a broker over one network, brokers and controllers each other over another one, so that a
broker can be cut off from its peers alone. Each network is a bridge on this machine with a cable (veth) to
each host; a cable that is down loses everything, without an error for anybody. Needs root, `ip` and `tc`
(iproute2). Not every kernel has netem, so a slow cable is a narrow one with a queue (tbf).
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_NARROW = ("rate", "400kbit", "burst", "16kb", "latency", "1s")
_PREFIX_BITS = 24
_CLIENTS, _PEERS = "c", "p"


@dataclass(frozen=True, slots=True)
class BrokerHost:
    """Where a broker runs."""

    clients: str = "127.0.0.1"  # its address for clients
    peers: str = "127.0.0.1"  # its address for brokers and controllers
    entry: tuple[str, ...] = ()  # the command that starts a program there


class Network:
    """The hosts of brokers, by name."""

    def __init__(self, names: Sequence[str]) -> None:
        self._mark = f"tl{os.getpid() % 100_000}"
        self._numbers = {name: number for number, name in enumerate(names, 1)}
        # Of the range for benchmarks (RFC 2544), so that they are nobody's.
        self._nets = {_CLIENTS: f"198.18.{os.getpid() % 250}", _PEERS: f"198.19.{os.getpid() % 250}"}
        self.hosts = {
            name: BrokerHost(
                f"{self._nets[_CLIENTS]}.{number}",
                f"{self._nets[_PEERS]}.{number}",
                ("ip", "netns", "exec", self._host(name)),
            )
            for name, number in self._numbers.items()
        }

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Make the networks and hosts, for as long as the block lasts."""
        try:
            for net, address in self._nets.items():
                _ip("link", "add", self._bridge(net), "type", "bridge")
                _ip("link", "set", self._bridge(net), "up")
                if net == _CLIENTS:  # all clients are on this machine itself
                    _ip("address", "add", f"{address}.254/{_PREFIX_BITS}", "dev", self._bridge(net))
            for name in self._numbers:
                self._connect(name)
            yield
        finally:
            for name in self._numbers:
                _ip("netns", "delete", self._host(name), check=False)
                for net in self._nets:  # the kernel ends a namespace later than its last process
                    _ip("link", "delete", self._cable(net, name), check=False)
            for net in self._nets:
                _ip("link", "delete", self._bridge(net), check=False)

    @contextlib.contextmanager
    def cut(self, name: str, *, only_peers: bool = False) -> Iterator[None]:
        """Cut a broker off from everybody, or from the other brokers only."""
        cables = [self._cable(net, name) for net in self._nets if net == _PEERS or not only_peers]
        try:
            for cable in cables:
                _ip("link", "set", cable, "down")
            yield
        finally:
            for cable in cables:
                _ip("link", "set", cable, "up")

    @contextlib.contextmanager
    def narrowed(self, name: str) -> Iterator[None]:
        """Give a broker so narrow cables that what is sent to it waits for up to a second, or is lost."""
        cables = [self._cable(net, name) for net in self._nets]
        try:
            for cable in cables:
                _run("tc", "qdisc", "add", "dev", cable, "root", "tbf", *_NARROW)
            yield
        finally:
            for cable in cables:
                _run("tc", "qdisc", "delete", "dev", cable, "root", check=False)

    def _connect(self, name: str) -> None:
        host = self._host(name)
        _ip("netns", "add", host)
        _ip("-n", host, "link", "set", "lo", "up")
        for net, address in self._nets.items():
            cable, inside = self._cable(net, name), f"eth-{net}"
            _ip("link", "add", cable, "type", "veth", "peer", "name", inside, "netns", host)
            _ip("link", "set", cable, "master", self._bridge(net))
            _ip("link", "set", cable, "up")
            _ip(
                "-n", host, "address", "add", f"{address}.{self._numbers[name]}/{_PREFIX_BITS}", "dev", inside
            )  # fmt: skip
            _ip("-n", host, "link", "set", inside, "up")

    def _bridge(self, net: str) -> str:
        return f"{self._mark}-{net}"

    def _cable(self, net: str, name: str) -> str:
        return f"{self._mark}-{net}{self._numbers[name]}"

    def _host(self, name: str) -> str:
        return f"{self._mark}-{name}"


def missing() -> str:
    """Return why this machine can have no such networks; "" if it can."""
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("tc"):
        return "network namespaces need root, and ip and tc (Debian: apt install iproute2)"
    name = f"tl{os.getpid() % 100_000}-try"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True, check=False)
    if made.returncode:
        return f"this machine makes no network namespaces: {made.stderr.strip()}"
    _ip("netns", "delete", name)
    return ""


def _ip(*words: str, check: bool = True) -> None:
    _run("ip", *words, check=check)


def _run(*words: str, check: bool = True) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if check and done.returncode:
        raise OSError(f"{' '.join(words)}: {done.stderr.strip()}")
