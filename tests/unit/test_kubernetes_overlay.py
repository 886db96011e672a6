"""deploy/kubernetes/overlays/production, as kustomize builds it: valid, complete, secrets by reference."""

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from typing import Any

import kubernetes_validate
import pytest
import yaml

from deploy import reference
from deploy.security.kafka_users import RIGHTS
from tests.support.stack import ROOT
from tests.unit.test_kubernetes import VERSIONS

FOLDER = ROOT / "deploy" / "kubernetes"
_MONITORING = "monitoring.coreos.com/v1"
_NAME = "app.kubernetes.io/name"
_TOOLS = (("kustomize", "build"), ("kubectl", "kustomize"))

pytestmark = pytest.mark.skipif(
    not any(shutil.which(tool) for tool, _ in _TOOLS),
    reason="neither kustomize nor kubectl is on PATH: go install sigs.k8s.io/kustomize/kustomize/v5@v5.6.0",
)


@cache
def built(folder: str = "overlays/production") -> tuple[dict[str, Any], ...]:
    """Return the objects that kustomize makes of a folder."""
    tool = next([tool, verb] for tool, verb in _TOOLS if shutil.which(tool))
    done = subprocess.run([*tool, str(FOLDER / folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def of(*kinds: str) -> list[dict[str, Any]]:
    """Return the objects of these kinds."""
    return [one for one in built() if one["kind"] in kinds]


def workloads() -> dict[str, dict[str, Any]]:
    """Return the pod template of each process, by name."""
    return {one["metadata"]["name"]: one["spec"]["template"] for one in of("Deployment", "StatefulSet")}


def variables(name: str) -> dict[str, dict[str, Any]]:
    """Return the environment of a process."""
    return {one["name"]: one for one in workloads()[name]["spec"]["containers"][0]["env"]}


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_of_kubernetes_is_valid(version: str) -> None:
    """Those of Prometheus Operator are tried by `make test-apiserver`."""
    for one in built():
        if one["apiVersion"] != _MONITORING:
            kubernetes_validate.validate(one, version, strict=True)


def test_the_base_is_built_by_its_parent_folder() -> None:
    """`kubectl apply -k deploy/kubernetes` applies it; the overlay loses nothing of it."""
    names = {(one["kind"], one["metadata"]["name"]) for one in built(".")}

    assert names < {(one["kind"], one["metadata"]["name"]) for one in built()}


def test_every_process_logs_in_as_itself() -> None:
    """Passwords come from Secrets, and no text of the manifests holds one."""
    users = {name: variables(name)["KAFKA_SASL_USERNAME"]["value"] for name in workloads()}
    [config] = of("ConfigMap")
    settings = {*config["data"]}.union(*map(variables, workloads()))

    assert users == {"ingest": "ingest", "warehouse": "loader", "live": "live"}
    assert {*users.values()} < RIGHTS.keys()
    assert {name for name in settings if not name.startswith("KAFKA_")} <= reference.variables()
    for name, user in users.items():
        given = variables(name)["KAFKA_SASL_PASSWORD"]["valueFrom"]["secretKeyRef"]
        assert given == {"name": "tapline-kafka", "key": f"{user}.password"}
    for name in ("warehouse", "live"):
        assert "secretKeyRef" in variables(name)["CLICKHOUSE_URL"]["valueFrom"]
    assert of("Secret") == []


def test_every_process_trusts_the_authority_and_is_spread() -> None:
    """Over machines, and over zones."""
    [config] = of("ConfigMap")
    for template in workloads().values():
        [container] = template["spec"]["containers"]
        paths = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        volumes = {volume["name"]: volume for volume in template["spec"]["volumes"]}
        keys = [one["topologyKey"] for one in template["spec"]["topologySpreadConstraints"]]

        folder = config["data"]["KAFKA_SSL_CA_LOCATION"].rpartition("/")[0]
        assert volumes[paths[folder]]["configMap"]["name"] == "tapline-ca"
        assert sorted(keys) == ["kubernetes.io/hostname", "topology.kubernetes.io/zone"]


def _selected(policy: dict[str, Any]) -> Iterator[dict[str, str]]:
    yield policy["spec"]["podSelector"].get("matchLabels", {})
    for rule in policy["spec"].get("ingress", []) + policy["spec"].get("egress", []):
        for peer in rule.get("from", []) + rule.get("to", []):
            if "podSelector" in peer:
                yield peer["podSelector"]["matchLabels"]


def test_policies_select_pods_that_exist() -> None:
    """By labels that the pods have, not only the objects that make them."""
    labels = [template["metadata"]["labels"].items() for template in workloads().values()]
    wanted = [one.items() for policy in of("NetworkPolicy") for one in _selected(policy)]

    assert len(wanted) > len(labels)
    assert all(any(one <= own for own in labels) for one in wanted)


def test_processes_that_are_several_scale_and_survive_a_drain() -> None:
    """The page is one."""
    scaled = {one["spec"]["scaleTargetRef"]["name"] for one in of("HorizontalPodAutoscaler")}
    kept = {one["spec"]["selector"]["matchLabels"][_NAME] for one in of("PodDisruptionBudget")}

    assert scaled == kept == workloads().keys() - {"live"}


def test_every_process_is_scraped_under_the_name_that_alerts_use() -> None:
    """On a port that it has; and the alerts are those of deploy/prometheus."""
    services = {one["metadata"]["labels"][_NAME]: one for one in of("Service")}
    ports = {
        name: {port["name"] for port in template["spec"]["containers"][0]["ports"]}
        for name, template in workloads().items()
    }
    monitors = of("ServiceMonitor", "PodMonitor")
    names = [one["spec"]["selector"]["matchLabels"][_NAME] for one in monitors]
    [rules] = of("PrometheusRule")

    assert sorted(names) == sorted(workloads())
    assert {one["spec"]["jobLabel"] for one in monitors} == {_NAME}
    for one, name in zip(monitors, names, strict=True):
        [end] = one["spec"].get("endpoints") or one["spec"]["podMetricsEndpoints"]
        assert end["port"] in ports[name]
        assert one["kind"] == "PodMonitor" or name in services
    assert rules["spec"] == yaml.safe_load((ROOT / "deploy/prometheus/rules.yml").read_text())
