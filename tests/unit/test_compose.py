"""deploy/compose.yaml: consistent with our settings, our files and our metrics."""

import re
from typing import Any

import pytest
import yaml

from deploy import reference
from tapline.commands import COMMANDS
from tests.support.stack import ROOT

COMPOSE = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if "localhost/tapline" in one["image"]}


def test_every_process_is_there() -> None:
    """Two ingests, so that one can be restarted, each with a spool of its own."""
    commands = [one["command"][0] for one in OURS.values()]

    assert sorted(commands) == ["ingest", "ingest", "live", "warehouse"]
    assert set(commands) <= {command.name for command in COMMANDS}
    assert SERVICES["ingest-1"]["volumes"] != SERVICES["ingest-2"]["volumes"]


@pytest.mark.parametrize("name", OURS)
def test_a_process_has_known_settings_and_no_rights(name: str) -> None:
    """No misspelt variable: a process ignores those that it does not know."""
    one = OURS[name]

    assert one["environment"].keys() <= reference.variables()
    assert one["read_only"]
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_bounded_and_comes_back(name: str) -> None:
    """Its memory and its log; its image has a version."""
    one = SERVICES[name]

    assert one["restart"] == "unless-stopped"
    assert one["mem_limit"]
    assert one["logging"]["options"].keys() == {"max-size", "max-file"}
    assert re.search(r":v?\d", one["image"]) or name in OURS


def test_only_caddy_is_public() -> None:
    """All other ports are of this server alone."""
    public = {
        name
        for name, one in SERVICES.items()
        for port in one.get("ports", [])
        if not port.startswith("127.0.0.1:")
    }

    assert public == {"caddy"}


def test_every_file_and_volume_exists() -> None:
    """Beside the file, or declared in it."""
    for one in SERVICES.values():
        for volume in one.get("volumes", []):
            source = volume.partition(":")[0]
            assert (ROOT / "deploy" / source).exists() if "/" in source else source in COMPOSE["volumes"]


def test_caddys_variables_are_those_of_its_file() -> None:
    """Including the name of the server."""
    known = set(re.findall(r"\{\$([A-Z_]+)", (ROOT / "deploy" / "edge" / "Caddyfile").read_text()))

    assert SERVICES["caddy"]["environment"].keys() <= known


def test_an_ingest_lingers_longer_than_caddys_connections_stay_idle() -> None:
    """Otherwise a post can cross the end of its connection."""
    kept = SERVICES["caddy"]["environment"]["TAPLINE_EDGE_KEEPALIVE"]

    assert float(SERVICES["ingest-1"]["environment"]["INGEST_LINGER_SECONDS"]) > float(kept.removesuffix("s"))


def test_prometheus_watches_the_same_jobs() -> None:
    """As the configuration that `make prometheus` uses, which the rules are written for."""
    shipped, own = (
        yaml.safe_load((ROOT / "deploy" / path).read_text())
        for path in ("prometheus/prometheus.yml", "compose/prometheus.yml")
    )
    targets = [
        target for job in own["scrape_configs"] for one in job["static_configs"] for target in one["targets"]
    ]

    assert [job["job_name"] for job in own["scrape_configs"]] == [
        job["job_name"] for job in shipped["scrape_configs"]
    ]
    assert {target.partition(":")[0] for target in targets} == set(OURS)
