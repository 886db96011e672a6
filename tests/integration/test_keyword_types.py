"""Event types named like SQL keywords load like any other."""

import json
from typing import Any

import pytest

from schemas.catalog.table_names import table_name
from tests.support.process import SAMPLES
from tests.support.site import Site

pytestmark = pytest.mark.slow

# In snake_case: keywords where the loader's statements and users' queries name a table.
_TYPES = (
    "Values",
    "Format",
    "Select",
    "From",
    "Settings",
    "Watch",
    "With",
    "Final",
    "Join",
    "GroupBy",
    "Null",
)
_OPENED: dict[str, Any] = json.loads((SAMPLES / "AppOpened.json").read_text())


@pytest.fixture(scope="module")
def site(changing: Site) -> Site:
    """A stack whose schemas change."""
    return changing


def event(name: str, app: str) -> dict[str, Any]:
    """Return an event of the type `name`, with properties named by keywords too."""
    properties = {"from": "a", "select": "1.50", "format": True}
    metadata = {"schema_id": f"Event_{name}_5_0_0"}
    fields = {"event_type": name, "event_id": f"{app}-{name}", "app_id": app, "metadata": metadata}
    return _OPENED | fields | {"event_properties": properties, "timestamp": 1_760_000_000_000}


def test_a_type_named_by_a_keyword_loads(site: Site) -> None:
    """First untyped, then with its own table, view and columns once it has a schema."""
    site.post(*(event(name, "keywords-1") for name in _TYPES))
    site.tables.wait("SELECT count() FROM tapcart.events WHERE app_id = 'keywords-1'", len(_TYPES))
    site.run("schemas", "infer", "--out", site.folder / "keywords")
    site.run("schemas", "add", site.folder / "keywords")
    site.run("consumers.replay", "--untyped")
    site.post(*(event(name, "keywords-2") for name in _TYPES))

    for name in _TYPES:
        view = f"tapcart.{table_name(name)}"
        sql = f"SELECT count() FROM {view} WHERE `event_properties.from` = 'a' AND `event_properties.format`"
        site.tables.wait(sql, 2)
    site.tables.wait(
        "SELECT count() FROM tapcart.events WHERE app_id IN ('keywords-1', 'keywords-2')", 2 * len(_TYPES)
    )
