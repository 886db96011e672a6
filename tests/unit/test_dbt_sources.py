"""dbt's sources are the tables and views that the loader creates."""

import json
import re

from consumers.warehouse.analytics.views import VIEWS
from consumers.warehouse.tables import PUBLIC, RAW, Options, tables
from consumers.warehouse.views import columns_by_view, views
from deploy.dbt.sources import sources_page
from schemas.catalog.catalog import Catalog

CATALOG = Catalog.load()
_DECLARED = re.compile(r"^  `([^`]+)` (.+?) COMMENT ", flags=re.MULTILINE)


def test_the_columns_of_a_view_are_those_that_it_declares() -> None:
    """Of every view, in order, with their types."""
    found = tables(CATALOG)
    declared = {
        match[1]: _DECLARED.findall(sql)
        for sql in views(found, Options())
        if (match := re.match(rf"CREATE OR REPLACE VIEW {PUBLIC}\.(\w+)", sql))
    }

    assert len(declared) > 15
    assert {
        name: [(column.name, column.type) for column in columns]
        for name, columns in columns_by_view(found).items()
    } == declared


def test_every_table_and_view_is_a_source_with_its_columns() -> None:
    """And with tests; `unmodelled` holds events of any type, other views one."""
    page = sources_page(CATALOG)
    public, _, raw = page.partition(f"  - name: {RAW}\n")
    sources = {text.partition("\n")[0]: text for text in public.split("\n      - name: ")[1:]}

    for name, columns in columns_by_view(tables(CATALOG)).items():
        assert re.findall(r"^          - name: (.*)$", sources[name], flags=re.MULTILINE) == [
            json.dumps(column.name) for column in columns
        ]
    assert "carts_abandoned_after" not in sources, "it takes an argument"
    for view in VIEWS:
        if view.name == "carts_abandoned_after":
            continue
        assert json.dumps(view.definition, ensure_ascii=False) in sources[view.name]
    for table in tables(CATALOG):
        assert f"\n      - name: {table.name}\n" in f"\n{raw}"
    assert 'values: ["AppOpened"]' in sources["app_opened"]
    assert "accepted_values" not in sources["unmodelled"]
    assert sources["unmodelled"].count("once:") == sources["app_opened"].count("once:") == 1
