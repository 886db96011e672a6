"""The base of deploy/kubernetes: valid for each version in use, and consistent with our settings."""

from collections.abc import Iterator
from typing import Any

import kubernetes_validate
import pytest
import yaml

from deploy import reference
from tests.support.stack import ROOT

FOLDER = ROOT / "deploy" / "kubernetes" / "base"
FILES = sorted(path for path in FOLDER.glob("*.yaml") if path.name != "kustomization.yaml")
VERSIONS = ("1.30", "1.31", "1.32", "1.33", "1.34", "1.35", "1.36", "1.37")
OBJECTS = [one for path in FILES for one in yaml.safe_load_all(path.read_text())]


def containers() -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Yield each pod and its container."""
    for one in OBJECTS:
        if one["kind"] in {"Deployment", "StatefulSet"}:
            pod = one["spec"]["template"]["spec"]
            yield from ((pod, container) for container in pod["containers"])


@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid(version: str) -> None:
    """No unknown field, no wrong type; a wrong field is found."""
    for one in OBJECTS:
        kubernetes_validate.validate(one, version, strict=True)
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(OBJECTS[0] | {"nonsense": 1}, version, strict=True)


def test_kustomize_knows_every_file() -> None:
    """And each image is replaced there."""
    kustomization = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())

    assert sorted(kustomization["resources"]) == [path.name for path in FILES]
    assert {container["image"] for _, container in containers()} == {
        image["name"] for image in kustomization["images"]
    }


def test_every_setting_exists() -> None:
    """In the containers, and in the ConfigMap."""
    found = {env["name"] for _, container in containers() for env in container["env"]}
    found |= {name for one in OBJECTS if one["kind"] == "ConfigMap" for name in one["data"]}

    assert found <= reference.variables()


@pytest.mark.parametrize(("pod", "container"), [*containers()], ids=lambda one: one.get("name", ""))
def test_a_container_has_no_rights_and_all_probes(pod: dict[str, Any], container: dict[str, Any]) -> None:
    """As the namespace enforces; the probes and Services name its ports."""
    assert pod["securityContext"]["runAsNonRoot"]
    assert not pod["automountServiceAccountToken"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    ports = {port["name"] for port in container["ports"]}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[probe]["httpGet"]["port"] in ports


def test_every_selector_finds_a_pod() -> None:
    """Of Services, budgets, policies and the autoscaler."""
    names = {one["metadata"]["name"] for one in OBJECTS if one["kind"] in {"Deployment", "StatefulSet"}}
    for one in OBJECTS:
        if one["kind"] == "Service":
            assert one["spec"]["selector"]["app.kubernetes.io/name"] in names
        if one["kind"] == "PodDisruptionBudget":
            assert one["spec"]["selector"]["matchLabels"]["app.kubernetes.io/name"] in names
        if one["kind"] == "HorizontalPodAutoscaler":
            assert one["spec"]["scaleTargetRef"]["name"] in names


def test_the_readme_names_what_is_referenced() -> None:
    """Secrets are made by hand."""
    readme = (FOLDER.parent / "README.md").read_text()
    text = "".join(path.read_text() for path in FILES)

    for name in ("tapline-tokens", "tapline"):
        assert f"{{secretName: {name}," in text or f"secretRef: {{name: {name}}}" in text
        assert f"secret generic {name} " in readme
