"""Event types named like SQL keywords load like any other."""

import json
from collections.abc import Iterator
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
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A stack of its own, because its schemas change."""
    running = Site(tmp_path_factory.mktemp("keywords"), "kafka,clickhouse,warehouse,ingest")
    running.stack.start()
    yield running
    running.stack.stop()


def event(name: str, app: str) -> dict[str, Any]:
    """Return an event of the type `name`, with properties named by keywords too."""
    properties = {"from": "a", "select": "1.50", "format": True}
    metadata = {"schema_id": f"Event_{name}_5_0_0"}
    fields = {"event_type": name, "event_id": f"{app}-{name}", "app_id": app, "metadata": metadata}
    return _OPENED | fields | {"event_properties": properties, "timestamp": 1_760_000_000_000}


def test_a_type_named_by_a_keyword_loads(site: Site) -> None:
    """First untyped, then with its own table, view and columns once it has a schema."""
    site.post(*(event(name, "before") for name in _TYPES))
    site.tables.wait("SELECT count() FROM tapcart.events WHERE app_id = 'before'", len(_TYPES))
    site.run("schemas", "infer", "--out", site.folder / "proposed")
    site.run("schemas", "add", site.folder / "proposed")
    site.run("consumers.replay", "--untyped")
    site.post(*(event(name, "after") for name in _TYPES))

    for name in _TYPES:
        view = f"tapcart.{table_name(name)}"
        sql = f"SELECT count() FROM {view} WHERE `event_properties.from` = 'a' AND `event_properties.format`"
        site.tables.wait(sql, 2)
    site.tables.wait(
        "SELECT count() FROM tapcart.events WHERE app_id IN ('before', 'after')", 2 * len(_TYPES)
    )
