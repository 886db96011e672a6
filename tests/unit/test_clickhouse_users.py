"""The SQL of ClickHouse's users: what the engine's parser says of it, and whom it serves."""

import hashlib
import re
from collections import defaultdict
from pathlib import Path
from xml.etree import ElementTree as ET

from consumers.warehouse import tables
from consumers.warehouse.analytics import visits
from consumers.warehouse.tables import Options
from deploy.security import clickhouse_users
from tests.support.parsing import parsed
from tests.support.stack import ROOT
from tests.support.warehouse import CATALOG


def test_the_engine_parses_every_statement(tmp_path: Path) -> None:
    """With passwords' hashes and the analyst's apps filled in."""
    sql = clickhouse_users.statements(tmp_path, ["a7Kq2mXw9L", "it's"])
    statements = clickhouse_users.split(sql)
    kinds = parsed(statements)

    assert len(kinds) == len(statements) > 20
    assert kinds.count("CreateUserQuery") == 2 * len(clickhouse_users.USERS) + 2
    assert "USING app_id IN ('a7Kq2mXw9L', 'it\\'s') TO analyst" in sql
    assert not re.search(r"\{\w+\}", "\n".join(statements))


def test_the_sql_holds_hashes_of_passwords_that_stay(tmp_path: Path) -> None:
    """Each in its file, for its owner; a second call changes nothing."""
    sql = clickhouse_users.statements(tmp_path, [])

    assert sql == clickhouse_users.statements(tmp_path, [])
    assert "FOR SELECT USING 1 TO analyst" in sql
    for user in clickhouse_users.USERS:
        path = tmp_path / f"clickhouse-{user}.password"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.stat().st_mode & 0o077 == 0
        assert path.read_text() not in sql
        assert f"ALTER USER {user} IDENTIFIED WITH sha256_hash BY '{digest}'" in sql


def test_readers_cannot_write_and_the_eraser_only_deletes(tmp_path: Path) -> None:
    """By the grants of each."""
    sql = clickhouse_users.statements(tmp_path, [])
    grants = re.findall(r"^GRANT (.*) ON (\S+) TO (\w+)", sql, re.MULTILINE)
    rights: defaultdict[str, set[str]] = defaultdict(set)
    for given, _, user in grants:
        rights[user] |= {*given.split(", ")}
    places = {place for _, place, _ in grants if not place.startswith("system.")}

    assert rights["live"] == rights["analyst"] == {"SELECT"}
    assert rights["eraser"] == {"SELECT", "ALTER DELETE"}
    assert places == {"tapcart.*", "tapcart_raw.*"}


def test_every_table_of_the_analyst_has_the_column_of_the_policy(tmp_path: Path) -> None:
    """Otherwise it could not be read."""
    made = [*tables.creations(tables.tables(CATALOG), Options()), *visits.creations((), Options())]
    creations = [one for one in made if one.startswith(("CREATE TABLE", "CREATE OR REPLACE TABLE"))]
    without = {one.split("(")[0].split()[-1] for one in creations if "app_id" not in one}
    revoked = re.findall(
        r"^REVOKE SELECT ON (\S+) FROM", clickhouse_users.statements(tmp_path, []), re.MULTILINE
    )

    assert len(creations) > 14
    assert without == {"tapcart_raw.audit_trail", "tapcart_raw.quarantine_replays"} <= {*revoked}


def test_the_servers_configuration_is_well_formed() -> None:
    """HTTPS alone."""
    root = ET.parse(ROOT / "deploy/security/clickhouse/tls.xml").getroot()  # noqa: S314 - our own file

    assert (root.findtext("https_port"), root.find("http_port").attrib) == ("8443", {"remove": "1"})  # type: ignore[union-attr]
