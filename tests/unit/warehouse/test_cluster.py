"""Statements for a cluster: as text in a file, by the engine's parser, and on the right tables."""

import re

from consumers.warehouse.tables import tables
from tests.support.parsing import parsed
from tests.support.warehouse import CATALOG
from tests.unit.warehouse.cluster_statements import FILE, statements, text

ALL = tables(CATALOG)
STATEMENTS = [statement.strip() for statement in statements(ALL)]
_READS = ("SELECT", "WITH", "INSERT")


def test_the_file_has_every_statement() -> None:
    """A difference is a change of clusters in use: `python -m tests.unit.warehouse.cluster_statements`."""
    assert FILE.read_text() == text()


def test_the_engine_parses_every_statement() -> None:
    """Those of all tables; a wrong clause for a cluster would be found nowhere else here."""
    kinds = parsed(STATEMENTS)

    assert len(kinds) == len(STATEMENTS) > 150
    assert {"CreateQuery", "AlterQuery", "DropQuery", "DeleteQuery", "SYSTEM"} <= set(kinds)


def test_every_change_is_made_on_the_whole_cluster() -> None:
    """Whichever server the loader is connected to."""
    changes = [statement for statement in STATEMENTS if not statement.startswith(_READS)]

    assert len(changes) > 150
    assert [statement for statement in changes if " ON CLUSTER 'prod'" not in statement] == []


def test_rows_are_removed_and_kept_by_the_tables_that_have_them() -> None:
    """A Distributed table has no rows, settings or retention; both have columns."""
    of_rows = re.compile(r"\AALTER TABLE .* (MODIFY (SETTING|TTL)|DELETE WHERE)|\ADELETE FROM|\ASYSTEM SYNC")
    touched = [s for s in STATEMENTS if of_rows.search(s)]
    altered = [s.split()[2] for s in STATEMENTS if re.search(r"ADD COLUMN|MODIFY COLUMN", s)]

    assert len(touched) > 2 * len(ALL)
    assert [s for s in touched if not re.search(r"tapcart_raw\.`?\w+_local\b", s)] == []
    assert {name for name in altered if name.endswith("_local")} == {
        f"{name}_local" for name in altered if not name.endswith("_local")
    }


def test_everything_of_a_device_is_on_one_shard() -> None:
    """Its events of all types, and its visits; the rest by what makes two rows the same."""
    by_table = dict(re.findall(r"Distributed\('prod', tapcart_raw, (\w+)_local(?:, (.*?))?\)(?: COMMENT|$)",
                               "\n".join(STATEMENTS), re.MULTILINE))  # fmt: skip
    of_devices = [table.name for table in ALL if table.partition_by]

    assert {by_table[name] for name in (*of_devices, "visits")} == {"cityHash64(app_id, device_id)"}
    assert by_table["events"] == ""
    assert by_table.keys() == {table.name for table in ALL} | {"visits", "events"}
    assert all(
        "app_id" in table.order_by and "device_id" in table.order_by for table in ALL if table.partition_by
    )
