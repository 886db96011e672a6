"""`make test-apiserver`: a real kube-apiserver takes base and overlay strictly, and refuses a wrong field.

No node and no controller runs, so nothing is started by it. Exit status: 0; 1 with the reason. Needs Go, etcd
(Debian: etcd-server), and kubectl or kustomize.
"""

import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.apiserver import build
from tests.support.process import free_port
from tests.support.waiting import eventually
from tests.unit.test_kubernetes_overlay import built

_FOLDERS = (".", "overlays/production")
_STRICT = {"fieldValidation": "Strict", "fieldManager": "tapline"}
_STARTED_SECONDS_MAX = 120


@dataclass(frozen=True, slots=True)
class Api:
    """The server's interface."""

    client: httpx.Client

    def apply(self, one: dict[str, Any]) -> None:
        """Create or change an object; ends this process if it is refused or warned of."""
        path = f"{self._path(one)}/{one['metadata']['name']}"
        kind = {"content-type": "application/apply-patch+yaml"}
        answer = self.client.patch(path, content=yaml.safe_dump(one), headers=kind, params=_STRICT)
        if answer.is_error or "warning" in answer.headers:
            raise SystemExit(f"{path}: {answer.headers.get('warning', '')} {answer.text}")

    def refuses(self, one: dict[str, Any], words: str) -> bool:
        """Return whether the object is refused with these words."""
        answer = self.client.post(self._path(one), json=one, params=_STRICT)
        return answer.is_error and words in answer.text

    def _path(self, one: dict[str, Any]) -> str:
        version = one["apiVersion"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        known = self.client.get(root).raise_for_status().json()["resources"]
        [found] = [r for r in known if r["kind"] == one["kind"] and "/" not in r["name"]]
        within = f"/namespaces/{one['metadata']['namespace']}" if found["namespaced"] else ""
        return f"{root}{within}/{found['name']}"

    def serves(self, kind: str) -> bool:
        """Return whether the server knows a kind of Prometheus Operator."""
        answer = self.client.get("/apis/monitoring.coreos.com/v1")
        return answer.is_success and kind in answer.text


def main() -> int:
    """Start it, apply all, and try what is wrong; return the exit status."""
    if missing := [tool for tool in ("go", "etcd") if not shutil.which(tool)]:
        raise SystemExit(f"{' and '.join(missing)}: not on PATH")
    program = build.apiserver()
    with (
        tempfile.TemporaryDirectory(prefix="tapline-apiserver-") as folder,
        _up(program, Path(folder)) as api,
    ):
        for path in build.definitions():
            definition = yaml.safe_load(path.read_text())
            api.apply(definition)
            eventually(partial(api.serves, definition["spec"]["names"]["kind"]), 30)
        for name in _FOLDERS:
            objects = sorted(built(name), key=lambda one: one["kind"] != "Namespace")
            for one in objects:
                api.apply(one)
            for one in objects:
                wrong = one | {"nonsense": 1, "metadata": one["metadata"] | {"name": "wrong"}}
                if not api.refuses(wrong, 'unknown field \\"nonsense\\"'):
                    raise SystemExit(f"{one['kind']}: an unknown field is not refused")
            sys.stdout.write(f"{name}: {len(objects)} objects taken by Kubernetes {build.VERSION}\n")
    return 0


@contextmanager
def _up(program: Path, folder: Path) -> Iterator[Api]:
    """Run etcd and the server; yield the interface."""
    token, port, of_etcd, of_peers = secrets.token_hex(16), free_port(), free_port(), free_port()
    _write_keys(folder)
    (folder / "tokens.csv").write_text(f"{token},tapline,tapline\n")
    address, peers = f"http://127.0.0.1:{of_etcd}", f"http://127.0.0.1:{of_peers}"
    etcd = [
        *("etcd", "--data-dir", folder / "etcd", "--listen-client-urls", address),
        *("--advertise-client-urls", address, "--listen-peer-urls", peers),
        *("--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}"),
    ]
    server = [
        *(program, f"--etcd-servers={address}", f"--secure-port={port}", "--bind-address=127.0.0.1"),
        *(f"--cert-dir={folder}", f"--token-auth-file={folder / 'tokens.csv'}"),
        *(
            "--authorization-mode=AlwaysAllow",
            "--anonymous-auth=false",
            "--service-cluster-ip-range=10.0.0.0/24",
        ),
        *("--disable-admission-plugins=ServiceAccount", "--service-account-issuer=https://localhost"),
        f"--service-account-signing-key-file={folder / 'key.pem'}",
        f"--service-account-key-file={folder / 'public.pem'}",
    ]
    with _running(etcd, folder / "etcd.log"), _running(server, folder / "server.log"):
        headers = {"authorization": f"Bearer {token}"}
        base = f"https://127.0.0.1:{port}"
        with httpx.Client(base_url=base, headers=headers, verify=False, timeout=30) as client:  # noqa: S501 - its own
            eventually(lambda: client.get("/readyz").is_success, _STARTED_SECONDS_MAX)
            yield Api(client)


@contextmanager
def _running(line: list[Any], log: Path) -> Iterator[None]:
    with log.open("wb") as out, subprocess.Popen(line, stdout=out, stderr=out) as process:
        try:
            yield
        except BaseException:
            sys.stderr.write(log.read_text(errors="replace")[-3000:])
            raise
        finally:
            process.terminate()


def _write_keys(folder: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM
    private, no_password = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, private, no_password))
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    (folder / "public.pem").write_bytes(public)


if __name__ == "__main__":
    sys.exit(main())
