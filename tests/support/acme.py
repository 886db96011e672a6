"""pebble: a certificate authority by ACME, for tests. Debian: `apt install pebble`."""

import json
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.process import free_port
from tests.support.tls import Authority
from tests.support.waiting import eventually


@dataclass(frozen=True, slots=True)
class Acme:
    """A running authority. It reaches every name at 127.0.0.1, at these two ports."""

    url: str
    authority: Path  # certificate of the authority's own server
    http_port: int
    https_port: int
    management_url: str

    def root(self) -> str:
        """Return the certificate above all that it issues."""
        trusted = ssl.create_default_context(cafile=str(self.authority))
        with urllib.request.urlopen(f"{self.management_url}/roots/0", context=trusted) as answer:
            return str(answer.read().decode())


@contextmanager
def acme(folder: Path, valid_seconds: int) -> Iterator[Acme]:
    """Run an authority whose certificates are valid for that long."""
    authority, dns, ports = Authority(folder), free_port(), [free_port() for _ in range(4)]
    pem = str(authority.issue())
    config = {
        "listenAddress": f"127.0.0.1:{ports[0]}",
        "managementListenAddress": f"127.0.0.1:{ports[1]}",
        "certificate": pem,
        "privateKey": pem,
        "httpPort": ports[2],
        "tlsPort": ports[3],
        "certificateValidityPeriod": valid_seconds,
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
    names = ["pebble-challtestsrv", "-defaultIPv6", "", "-dns01", f"127.0.0.1:{dns}"]
    nothing = [word for name in ("http01", "https01", "tlsalpn01") for word in (f"-{name}", "")]
    names += [*nothing, "-management", f"127.0.0.1:{free_port()}"]
    pebble = ["pebble", "-config", str(folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{dns}"]
    made = Acme(
        f"https://127.0.0.1:{ports[0]}/dir",
        authority.path,
        ports[2],
        ports[3],
        f"https://127.0.0.1:{ports[1]}",
    )
    with (folder / "pebble.log").open("wb") as log, _running(names, log), _running(pebble, log):
        eventually(lambda: "BEGIN" in made.root(), what="pebble answers")
        yield made


@contextmanager
def _running(command: list[str], log: object) -> Iterator[None]:
    env = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    process = subprocess.Popen(command, env=env, stdout=log, stderr=log)  # type: ignore[call-overload]
    try:
        yield
    finally:
        process.kill()
        process.wait()
