"""Schemas registered at a registry: the ids it returns, and the effects of its failures."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from runtime.environment import SettingsError
from schemas.catalog import registry_client
from schemas.catalog.catalog import Catalog, CatalogError
from schemas.catalog.registry_client import RegistryAwayError, SchemaRegistry
from schemas.catalog.schema_reloader import (
    SchemaReloader,
    lenient_reloader,
    registering_reloader,
    strict_reloader,
)
from tests.support.registry import PASSWORD, Fault, StandIn
from tests.unit.schemas.tree import RELEASED, Tree

CATALOG = Catalog.load()
NONSENSE = (
    b"",
    b"<html>",
    b"[]",
    b"{}",
    b"7",
    b'{"id": null}',
    b'{"id": "7"}',
    b'{"id": 0}',
    b'{"id": true}',
)


@pytest.fixture
def registry() -> Iterator[StandIn]:
    """An empty registry."""
    with StandIn() as registry:
        yield registry


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_client, "_START_SECONDS_MAX", 0.1)
    # A registry that answers is never taken for a silent one, however busy the machine is.
    monkeypatch.setattr("runtime.kafka.registry_client._REQUEST_SECONDS_MAX", 60.0)


def ingest(registry: StandIn, tree: Tree) -> SchemaReloader:
    """Return the catalog as an ingest has it that starts now."""
    return registering_reloader(tree.root, {"url": registry.url}, tree.root.parent / "ids.json")


def release(tree: Tree) -> None:
    """Release another version of AppOpened with an additional field."""
    schema = tree.schema()
    schema["fields"].insert(-1, {"name": "mood", "type": ["null", "string"], "default": None})
    tree.release("avro/mobile/AppOpened/5_1_0.avsc", schema)


def test_every_release_is_registered_and_found(registry: StandIn, tree: Tree) -> None:
    """Under the subjects that Confluent's clients use; our own ids stay unchanged."""
    catalog, found = (
        ingest(registry, tree).catalog,
        strict_reloader(tree.root, {"url": registry.url}).catalog,
    )

    assert catalog.releases == found.releases == CATALOG.releases
    assert catalog.ids == found.ids == {number: number + 1 for number in range(1, RELEASED + 1)}
    assert registry.subjects["tapcart.events-AppOpened"] == [3]
    assert registry.subjects["tapcart.quarantine-Quarantine"][-1] == catalog.ids[catalog.quarantine.wire_id]
    assert [json.loads(registry.texts[one.wire_id + 1]) for one in CATALOG.releases] == [
        one.schema for one in CATALOG.releases
    ]
    assert {one.wire_id for one in catalog.as_registered.releases} == registry.texts.keys()


def test_a_release_comes_to_the_registry_while_all_runs(registry: StandIn, tree: Tree) -> None:
    """Ingest registers it at its next reload; other processes find it then, not before."""
    writer, reader = ingest(registry, tree), lenient_reloader(tree.root, {"url": registry.url})
    release(tree)

    assert reader.reload()
    assert (len(reader.catalog.releases), reader.catalog.is_complete) == (RELEASED + 1, False)
    assert not reader.reload()
    assert writer.reload()
    assert reader.reload()
    assert reader.catalog.ids == writer.catalog.ids
    assert reader.catalog.is_complete
    before = len(registry.asked)
    assert not reader.reload()
    assert not writer.reload()
    assert len(registry.asked) == before


def test_a_registry_that_is_away_at_first_is_waited_for_and_told(registry: StandIn, tree: Tree) -> None:
    """Without ids nothing can be written; readers do not need them."""
    registry.stop()
    with pytest.raises(RegistryAwayError, match="SCHEMA_REGISTRY_URL: the registry does not answer: Connect"):
        ingest(registry, tree)
    with pytest.raises(RegistryAwayError):
        strict_reloader(tree.root, {"url": registry.url})
    reader = lenient_reloader(tree.root, {"url": registry.url})

    assert reader.catalog.ids == {}
    assert not reader.reload()
    registry.start()
    ingest(registry, tree)
    assert reader.reload()
    assert reader.catalog.is_complete


def test_a_start_does_without_a_registry_whose_ids_are_known(registry: StandIn, tree: Tree) -> None:
    """It starts with the known ids, and adds a release without one once the registry is back."""
    before = ingest(registry, tree).catalog
    registry.stop()
    release(tree)
    again = ingest(registry, tree)

    assert again.catalog.releases == before.releases
    assert again.catalog.ids == before.ids
    with pytest.raises(RegistryAwayError):
        again.reload()
    registry.start()
    assert again.reload()
    assert (len(again.catalog.releases), again.catalog.is_complete) == (RELEASED + 1, True)


def test_a_release_that_is_refused_is_left_out(registry: StandIn, tree: Tree) -> None:
    """Every reload reports the registry's message; the others continue, also after a restart."""
    running = ingest(registry, tree)
    refusal = {"error_code": 409, "message": "Schema being registered is incompatible"}
    registry.breaks(Fault(409, json.dumps(refusal).encode(), subject="tapcart.events-AppOpened"))
    release(tree)
    told = "answers to tapcart.events-AppOpened: Schema being registered is incompatible"
    for reloader in (running, ingest(registry, tree)):
        assert len(reloader.catalog.releases) == RELEASED
        with pytest.raises(CatalogError, match=told):
            reloader.reload()


@pytest.mark.parametrize(
    "memory", ["", "{", "[]", '{"other": {"Event_AppOpened_5_0_0": 1}}', '{"a": {"b": "c"}}']
)
def test_a_memory_that_is_of_no_use_is_none(registry: StandIn, tree: Tree, memory: str) -> None:
    """Ids of another registry, or broken ones, are ignored; a working registry replaces them."""
    file = tree.root.parent / "ids.json"
    file.write_text(memory)
    registry.stop()
    with pytest.raises(RegistryAwayError):
        ingest(registry, tree)
    registry.start()
    ingest(registry, tree)
    [ids] = json.loads(file.read_text()).values()

    assert len(ids) == RELEASED


def test_ids_that_cannot_be_kept_are_used(registry: StandIn, tree: Tree) -> None:
    """If the folder is not writable, only the next start depends on the registry."""
    (tree.root.parent / "no").touch()
    reloader = registering_reloader(tree.root, {"url": registry.url}, tree.root.parent / "no" / "ids.json")

    assert reloader.catalog.is_complete


@pytest.mark.parametrize(
    "fault",
    [
        *(Fault(200, body) for body in NONSENSE),
        Fault(204),
        Fault(500, b"{}"),
        Fault(503, b"busy"),
        Fault(429, b""),
        Fault(200, b'{"id": 2147483648}'),
        Fault(200, b'{"id": 5}'),
        Fault(is_slow=True),
    ],
    ids=str,
)
def test_nonsense_changes_nothing(
    registry: StandIn, tree: Tree, fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At startup or later; once the registry works again it is used."""
    if fault.is_slow:
        monkeypatch.setattr("runtime.kafka.registry_client._REQUEST_SECONDS_MAX", 1.0)
    registry.breaks(fault)
    with pytest.raises(RegistryAwayError):
        ingest(registry, tree)
    registry.mend()
    reloader = ingest(registry, tree)
    release(tree)
    registry.breaks(fault)
    with pytest.raises(RegistryAwayError) as raised:
        reloader.reload()

    assert str(raised.value).startswith("SCHEMA_REGISTRY_URL: ")
    assert len(reloader.catalog.releases) == RELEASED
    registry.mend()
    assert reloader.reload()
    assert reloader.catalog.ids == {number: number + 1 for number in range(1, RELEASED + 2)}


@pytest.mark.parametrize("status", [401, 403, 404, 409, 422])
def test_what_is_refused_is_not_tried_again(registry: StandIn, tree: Tree, status: int) -> None:
    """The first refusal is reported."""
    registry.breaks(Fault(status, json.dumps({"error_code": status, "message": "No."}).encode()))
    with pytest.raises(CatalogError, match="the registry answers to tapcart") as raised:
        ingest(registry, tree)

    assert not isinstance(raised.value, RegistryAwayError)
    assert len(registry.asked) == 1


@pytest.mark.parametrize(
    ("env", "told"),
    [
        ({"SCHEMA_REGISTRY_URL": "registry:8081"}, "must be `http://"),
        ({"SCHEMA_REGISTRY_URL": "ftp://registry"}, "must be `http://"),
        ({"SCHEMA_REGISTRY_URL": "http://u:geheim@registry:notaport"}, "must be `http://"),
        ({"SCHEMA_REGISTRY_URL": "http://a,registry"}, "must be `http://"),
        ({"SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO": "u:geheim"}, "must be `http://"),
        (
            {"SCHEMA_REGISTRY_URL": "http://a", "SCHEMA_REGISTRY_FOO": "geheim"},
            "Unrecognized properties: foo",
        ),
        (
            {"SCHEMA_REGISTRY_URL": "http://a", "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO": "geheim"},
            "must be in the form of {username}:{password}",
        ),
        (
            {"SCHEMA_REGISTRY_URL": "http://a", "SCHEMA_REGISTRY_SSL_CA_LOCATION": "/no/such/file"},
            "No such file",
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("process", ["ingest", "warehouse", "live"])
def test_wrong_settings_are_told_with_all_others(process: str, env: dict[str, str], told: str) -> None:
    """By variable, without secrets."""
    settings: Any = __import__(
        {"ingest": "ingest", "warehouse": "consumers.warehouse", "live": "consumers.live"}[process]
        + ".settings",
        fromlist=["Settings"],
    ).Settings
    with pytest.raises(SettingsError) as raised:
        settings.from_env(env)
    lines = str(raised.value).splitlines()

    assert any(line.startswith("SCHEMA_REGISTRY_URL: ") and told in line for line in lines)
    assert any(line.startswith("KAFKA_BOOTSTRAP_SERVERS: ") for line in lines)
    assert "geheim" not in str(raised.value)


def test_a_password_is_in_no_words(registry: StandIn, tree: Tree, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in logs nor in errors."""
    with caplog.at_level("INFO"):
        reloader = ingest(registry, tree)
    release(tree)
    registry.breaks(Fault(500, b"{}"))
    with pytest.raises(RegistryAwayError) as broken:
        reloader.reload()
    registry.stop()
    with pytest.raises(RegistryAwayError) as away:
        reloader.reload()
    said = caplog.text + str(broken.value) + str(away.value) + repr(SchemaRegistry({"url": registry.url}))

    assert "user:" not in said
    assert PASSWORD not in said
