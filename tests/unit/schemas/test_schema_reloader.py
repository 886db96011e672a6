"""The catalog in use: releases are loaded, and failed reloads change nothing."""

import pytest

from schemas.catalog.catalog import Catalog, CatalogError
from schemas.catalog.schema_reloader import SchemaReloader
from tests.unit.schemas.tree import RELEASED, Tree


def release(tree: Tree, version: str = "5_1_0") -> None:
    """Release another version of AppOpened with an additional field."""
    schema = tree.schema()
    schema["fields"].insert(-1, {"name": "mood", "type": ["null", "string"], "default": None})
    tree.release(f"avro/mobile/AppOpened/{version}.avsc", schema)


def test_nothing_new_is_nothing_to_do(tree: Tree) -> None:
    """Without changes a reload keeps the same catalog object."""
    reloader = SchemaReloader(tree.root)
    before = reloader.catalog

    assert not reloader.reload()
    assert reloader.catalog is before


def test_a_release_is_taken_up(tree: Tree) -> None:
    """At the next reload, once; the previous catalog stays unchanged."""
    reloader = SchemaReloader(tree.root)
    before = reloader.catalog
    release(tree)

    assert [reloader.reload(), reloader.reload()] == [True, False]
    assert [len(catalog.releases) for catalog in (before, reloader.catalog)] == [RELEASED, RELEASED + 1]


def test_ids_that_a_registry_gets_later_are_found(tree: Tree) -> None:
    """The loader may start before ingest has registered: it reloads until all ids are there."""
    registered: dict[int, int] = {}
    reloader = SchemaReloader(tree.root, lambda catalog: Catalog(catalog.releases, dict(registered)))
    assert reloader.changed
    assert not reloader.reload()

    registered |= {release.wire_id: release.wire_id + 7 for release in reloader.catalog.releases}

    assert (reloader.changed, reloader.reload(), reloader.changed) == (True, True, False)
    assert reloader.catalog.ids == registered


def test_what_cannot_be_used_changes_nothing(tree: Tree) -> None:
    """Every reload reports the problem until it is fixed."""
    reloader = SchemaReloader(tree.root)
    before = reloader.catalog
    sound = (tree.root / "registry.json").read_bytes()
    (tree.root / "registry.json").write_text("{")
    for _ in range(2):
        with pytest.raises(CatalogError):
            reloader.reload()

    assert reloader.catalog is before

    (tree.root / "registry.json").unlink()
    with pytest.raises(CatalogError):
        reloader.reload()
    (tree.root / "registry.json").write_bytes(sound)
    release(tree)

    assert reloader.reload()


@pytest.mark.parametrize("others", [(), ("5_2_0",)])
def test_a_release_in_use_stays(tree: Tree, others: tuple[str, ...]) -> None:
    """Its id is in Kafka, so a folder without it, or with another one under its id, is refused."""
    registry = tree.root / "registry.json"
    before = registry.read_bytes()
    release(tree)
    reloader = SchemaReloader(tree.root)
    registry.write_bytes(before)
    for version in others:
        release(tree, version)

    with pytest.raises(CatalogError, match="Event_AppOpened_5_1_0: in use, but removed or changed"):
        reloader.reload()


def test_a_look_waits_for_what_adopts(tree: Tree) -> None:
    """The adopting function may replace a catalog or refuse it; then it is called again."""
    given: list[int] = []

    def adopt(catalog: Catalog) -> Catalog:
        given.append(len(catalog.releases))
        if len(given) == 2:
            raise CatalogError("not now")
        return Catalog(catalog.releases[1:])

    reloader = SchemaReloader(tree.root, adopt)
    release(tree)
    with pytest.raises(CatalogError, match="not now"):
        reloader.reload()

    assert reloader.reload()
    assert (given, len(reloader.catalog.releases)) == ([RELEASED, RELEASED + 1, RELEASED + 1], RELEASED)
