"""`make test-pods`: the pods of deploy/kubernetes, run by `podman kube play`: rights, volumes, an event.

podman knows no StatefulSet, so ingest's pod is taken out of it; the others are the Deployments, with one
replica. There is no Kafka: ingest keeps the event in its spool. podman 4.3 mounts the values of a Secret as
they are encoded, with mode 0644, reads those for an environment as JSON, and refuses one that is missing.
Exit status: 0; 1 with the reason. Needs root, and Debian's buildah, podman, netavark, iptables, catatonit,
mmdebstrap.
"""

import json
import sys
import tempfile
from base64 import b64encode
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.compose.file import IMAGE
from tests.image import __main__ as image
from tests.support import podman
from tests.support.process import SAMPLES, free_port
from tests.support.stack import ROOT
from tests.support.waiting import eventually

_TOKEN = b64encode(b"secret-of-the-tests").decode()
_FILES = ("settings", "ingest", "warehouse", "live")
_SECRET, _TOKENS, _SPOOL = "tapline", "tapline-tokens", "tapline-test-spool"
_SETTINGS = {"LIVE_TOKEN": "a-password-of-the-tests", "CLICKHOUSE_URL": "http://127.0.0.1:9"}
_PROBE = "id -u; touch /file 2>&1; grep CapEff /proc/self/status"
_EXPECTED = ["10001", "touch: cannot touch '/file': Read-only file system", "CapEff:\t0000000000000000"]


def main() -> int:
    """Build, run and ask; return the exit status."""
    image._base("tapline-test-base", "")
    image._base("tapline-test-build", ",binutils")
    image._build()
    with tempfile.TemporaryDirectory(prefix="tapline-pods-") as name:
        folder = Path(name)
        env = podman.environment(folder)
        ports: dict[int, int] = {}  # of the container -> of this machine
        path, secret = folder / "pods.yaml", folder / "secret.json"
        path.write_text(yaml.safe_dump_all(_objects(ports)))
        secret.write_text(
            json.dumps({key: b64encode(text.encode()).decode() for key, text in _SETTINGS.items()})
        )
        podman.run(env, "podman", "secret", "create", _SECRET, str(secret))
        try:
            podman.run(env, "podman", "kube", "play", str(path))
            _check(env, ports)
        finally:
            podman.run(env, "podman", "kube", "down", str(path))
            podman.run(env, "podman", "volume", "rm", "--force", _SPOOL, _TOKENS, "tmp")
            podman.run(env, "podman", "secret", "rm", _SECRET, _TOKENS)
    sys.stdout.write("the pods run without root, rights and a writable root; ingest keeps an event\n")
    return 0


def _check(env: dict[str, str], ports: dict[int, int]) -> None:
    """Post an event, and look at every container."""
    url = f"http://127.0.0.1:{ports[8080]}/tapcart_webhooks/{_TOKEN}"
    event = (SAMPLES / "AppOpened.json").read_bytes()
    eventually(lambda: httpx.get(f"http://127.0.0.1:{ports[8083]}/readyz").status_code == 200, 60)
    answer = httpx.post(url, content=event)
    assert (answer.status_code, answer.json()) == (200, {"kept": "spool"}), answer.text
    page = f"http://127.0.0.1:{ports[8081]}/readyz"
    eventually(lambda: httpx.get(page).json()["away"].keys() >= {"kafka", "clickhouse"}, 60)
    for name in ("ingest-ingest", "warehouse-pod-0-warehouse", "live-pod-0-live"):
        said = podman.run(env, "podman", "exec", name, "sh", "-c", _PROBE).splitlines()
        assert said == _EXPECTED, (name, said)


def _objects(ports: dict[int, int]) -> list[dict[str, Any]]:
    """Return the objects for podman; adds to `ports`."""
    tokens = {"tokens": _TOKEN}
    found: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": _TOKENS}, "data": tokens}
    ]
    for name in _FILES:
        for one in yaml.safe_load_all((ROOT / f"deploy/kubernetes/base/{name}.yaml").read_text()):
            match one["kind"]:
                case "ConfigMap":
                    one["data"]["KAFKA_BOOTSTRAP_SERVERS"] = "127.0.0.1:9"
                    found.append(one)
                case "Deployment":
                    one["spec"]["replicas"] = 1
                    found.append(one)
                    _prepare(one["spec"]["template"]["spec"], ports)
                case "StatefulSet":
                    found += _pod(one["spec"])
                    _prepare(found[-1]["spec"], ports)
    return found


def _pod(spec: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the claim and the pod of a StatefulSet."""
    (claim,) = spec["volumeClaimTemplates"]
    volume = {"name": claim["metadata"]["name"], "persistentVolumeClaim": {"claimName": _SPOOL}}
    spec["template"]["spec"]["volumes"].append(volume)
    named = {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": _SPOOL}}
    pod = {"apiVersion": "v1", "kind": "Pod", **spec["template"]}
    pod["metadata"]["name"] = "ingest"
    return [named | {"spec": claim["spec"]}, pod]


def _prepare(spec: dict[str, Any], ports: dict[int, int]) -> None:
    (container,) = spec["containers"]
    container["image"] = IMAGE
    for port in container["ports"]:
        ports[port["containerPort"]] = port["hostPort"] = free_port()
        port["hostIP"] = "127.0.0.1"
    for volume in spec.get("volumes", ()):
        if "secret" in volume:
            if volume["secret"].get("optional"):  # the Secret is missing
                del volume["secret"]
                volume["emptyDir"] = {}
            else:
                volume["secret"]["optional"] = False


if __name__ == "__main__":
    sys.exit(main())
