"""The Go module of Kubernetes -> the program kube-apiserver, in .cache.

Kubernetes is not made to be a dependency: its go.mod names its own parts without versions, so a go.mod of our
own replaces them. It takes 6 minutes on two cores, once.
"""

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from tests.support.stack import ROOT

VERSION = "1.34.3"
_OPERATOR = ("github.com/prometheus-operator/prometheus-operator", "v0.85.0")
_KUBERNETES = "k8s.io/kubernetes"


def apiserver() -> Path:
    """Return the program, built if it is not there. Raises: CalledProcessError."""
    folder = ROOT / ".cache" / f"kube-apiserver-{VERSION}"
    program = folder / "kube-apiserver"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        upstream = Path(_downloaded(_KUBERNETES, f"v{VERSION}")["GoMod"]).read_text()
        parts = sorted(set(re.findall(r"^\s(k8s\.io/[\w-]+) v0\.0\.0$", upstream, re.MULTILINE)))
        replaced = [f"replace {part} => {part} v0.{VERSION.removeprefix('1.')}" for part in parts]
        lines = ["module tapline/apiserver", "go 1.24.0", f"require {_KUBERNETES} v{VERSION}", *replaced]
        (folder / "go.mod").write_text("\n".join(lines) + "\n")
        line = [
            "go",
            "build",
            "-mod=mod",
            "-trimpath",
            "-o",
            str(program),
            f"{_KUBERNETES}/cmd/kube-apiserver",
        ]
        subprocess.run(line, cwd=folder, check=True)
    return program


def definitions() -> list[Path]:
    """Return the files that define the objects of Prometheus Operator. Raises: CalledProcessError."""
    folder = Path(_downloaded(*_OPERATOR)["Dir"]) / "example/prometheus-operator-crd"
    return [folder / f"monitoring.coreos.com_{name}.yaml" for name in _USED]


_USED = ("podmonitors", "prometheusrules", "servicemonitors")


def _downloaded(module: str, version: str) -> dict[str, Any]:
    line = ["go", "mod", "download", "-json", f"{module}@{version}"]
    env = os.environ | {"GOWORK": "off"}
    done = subprocess.run(line, env=env, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
