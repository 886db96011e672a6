"""A new type and new fields get columns by `infer`, `add` and `replay`, while everything runs."""

import json
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any, Self

import httpx
import pytest

from consumers.warehouse.load.wiring import LoaderParts
from consumers.warehouse.removals import Removals
from consumers.warehouse.repair.retype import Retyper, UntypedRows, sources
from consumers.warehouse.settings import Settings
from schemas.catalog.schema_reloader import SchemaReloader
from tests.support import kills
from tests.support.process import SAMPLES
from tests.support.site import Site
from tests.support.waiting import eventually
from tests.support.warehouse import Sender

pytestmark = pytest.mark.slow

PROCESSES = ("ingest", "warehouse", "kafka", "clickhouse")
_OPENED: dict[str, Any] = json.loads((SAMPLES / "AppOpened.json").read_text())


@pytest.fixture(scope="module")
def site(changing: Site) -> Site:
    """A stack whose schemas change."""
    return changing


def opened(app: str, number: int, **more: Any) -> dict[str, Any]:
    """Return an AppOpened event; the same number is the same event in any app."""
    return (
        _OPENED | {"app_id": app, "event_id": f"e{number:04}", "timestamp": 1_760_000_000_000 + number} | more
    )


def with_news(app: str, number: int) -> dict[str, Any]:
    """Return an AppOpened event with new fields: at the top level, in blocks, in a new block."""
    joined_at = 1_700_000_000_000 + number
    event_properties = {
        "gift-note": f'To № {number}\n"you"',
        "voucher_total": f"{number}.50",
        "lines": [{"sku": number}],
        "odd one": None if number % 3 else "x",
    }
    news = {
        "mood": ["fine", "so so"][number % 2],
        "device_properties": _OPENED["device_properties"] | {"battery": number / 7, "os": "iOS"},
        "event_properties": _OPENED["event_properties"] | event_properties,
        "loyalty_properties": {"tier": "gold", "points": str(number), "joined_at": joined_at},
        "session_id": 17,
    }  # fmt: skip
    return opened(app, number, **news)


def wished(app: str, number: int) -> dict[str, Any]:
    """Return an event of a new type."""
    properties = {"list_id": str(number), "price": "19.90", "tags": ["a", number], "gift": number % 2 == 0}
    properties |= {"deep": {"er": [1, {"x": None}]}, "empty": "", "big": number + 0.5}
    metadata = {"schema_id": "Event_Wished_5_0_0"}
    return opened(
        app, number, event_type="Wished", event_properties=properties, metadata=metadata, coupon="C1"
    )


@dataclass
class Said:
    """The output of the commands."""

    reconciled: str
    inferred: str
    released: str
    replayed: str


@pytest.fixture(scope="module")
def said(site: Site) -> Said:
    """Three commands, after some events (some of them twice) and before the same ones."""
    events = [make("before", number) for make in (wished, with_news) for number in range(30)]
    site.post(*events, *events[:3], opened("before", 900))
    site.tables.wait("SELECT count() FROM tapcart.events WHERE app_id = 'before'", 61)
    said = Said(
        site.run("consumers.reconcile"),
        site.run("schemas", "infer", "--out", site.folder / "proposed"),
        site.run("schemas", "add", site.folder / "proposed"),
        site.run("consumers.replay", "--untyped"),
    )
    events = [make("after", number) for make in (wished, with_news) for number in range(30)]
    site.post(*events, opened("after", 900))
    site.tables.wait("SELECT count() FROM tapcart.events WHERE app_id = 'after'", 61)
    return said


def test_three_commands_say_what_they_do(said: Said) -> None:
    """Proposals and exceptions, releases, and the number of typed rows."""
    assert "# Wished: event_properties.price: string, number decimal" in said.inferred
    assert "# AppOpened: not proposed: event_properties.lines: objects and lists of objects" in said.inferred
    assert [line.split()[1] for line in said.released.splitlines()] == [
        "Event_AppOpened_5_1_0", "Event_Wished_5_0_0",
    ]  # fmt: skip
    assert sorted(said.replayed.splitlines()) == [
        "AppOpened: 30 rows of app_opened typed", "Wished: 30 rows moved out of unmodelled",
    ]  # fmt: skip


def test_rows_become_what_they_would_have_been_from_the_start(site: Site, said: Said) -> None:
    """Unmodelled has none left, extra keeps data without a column, nothing is duplicated or missing."""
    for table, count in (("wished", 30), ("app_opened", 31), ("unmodelled", 0)):
        before, after = site.rows(table, "before"), site.rows(table, "after")
        assert before == after
        assert len(before) == count
    assert site.count("events", "app_id = 'before'") == 61
    extras = site.tables.rows(
        "SELECT DISTINCT arraySort(JSONExtractKeys(extra)) FROM tapcart.events"
        " WHERE extra != '' AND app_id IN ('before', 'after')"
    )
    assert sorted(extras) == [
        [["event_properties.deep", "event_properties.empty"]], [["event_properties.lines"]],
    ]  # fmt: skip
    sums = (
        "sum(event_properties.price_amount), sum(event_properties.big_amount), countIf(event_properties.gift)"
    )
    assert site.tables.rows(f"SELECT {sums} FROM tapcart.wished WHERE app_id = 'before'") == [[597, 450, 15]]
    assert "nothing is missing" in said.reconciled
    assert "nothing is missing" in site.run("consumers.reconcile")


@pytest.mark.usefixtures("said")
def test_a_second_replay_changes_nothing(site: Site) -> None:
    """Unchanged rows are not written again; a dry run writes none."""
    site.post(*(wished("again", number) for number in range(3)))
    site.tables.wait("SELECT count() FROM tapcart.wished WHERE app_id = 'again'", 3)
    loaded = "SELECT max(_loaded_at) FROM tapcart_raw.{}"
    before = [site.tables.one(loaded.format(table)) for table in ("wished", "app_opened")]

    assert site.run("consumers.replay", "--untyped") == ""
    assert site.run("consumers.replay", "--untyped", "--dry-run") == ""
    assert [site.tables.one(loaded.format(table)) for table in ("wished", "app_opened")] == before


@pytest.mark.usefixtures("said")
def test_a_body_that_was_too_heavy_is_typed_later(site: Site) -> None:
    """Ingest keeps it whole and untyped, and nothing of it is lost."""
    site.post(opened("heavy", 1, ballast=[0] * 2000))
    site.tables.wait("SELECT count() FROM tapcart.unmodelled WHERE app_id = 'heavy'", 1)
    whole = (
        "SELECT event_type, JSONLength(extra, '%', 'ballast') FROM tapcart.unmodelled WHERE app_id = 'heavy'"
    )
    assert site.tables.rows(whole) == [["AppOpened", 2000]]
    site.run("consumers.replay", "--untyped")

    assert site.count("unmodelled", "app_id = 'heavy'") == 0
    typed = "SELECT device_id, JSONLength(extra, 'ballast') FROM tapcart.app_opened WHERE app_id = 'heavy'"
    assert site.tables.rows(typed) == [[_OPENED["device_id"], 2000]]


@pytest.mark.usefixtures("said")
def test_what_the_log_still_has_untyped_is_typed_when_it_is_loaded_again(site: Site) -> None:
    """Kafka keeps ingest's records; reloading them must not undo the types."""
    before = {table: site.rows(table, "before") for table in ("wished", "app_opened")}
    site.run("consumers.replay", "--from", "2020-01-01", "--to", "2099-01-01")

    assert {table: site.rows(table, "before") for table in before} == before
    assert site.count("unmodelled", "event_type = 'Wished'") == 0


@pytest.mark.usefixtures("said")
def test_one_type_may_be_asked_for(site: Site) -> None:
    """One proposal fits a file, several do not; nothing else is written."""
    site.post(
        opened("asked", 1, event_type="Asked", event_properties={"a": "b"}), opened("asked", 2, asked="x")
    )
    site.tables.wait("SELECT count() FROM tapcart.events WHERE app_id = 'asked'", 2)
    file = site.folder / "asked.avsc"
    site.run("schemas", "infer", "--out", file, status=1)
    said = site.run("schemas", "infer", "--event-type", "Asked", "--since", "2020-01-01", "--out", file)
    rare = site.run("schemas", "infer", "--event-type", "AppOpened", "--at-least", 2)
    never = site.run("schemas", "infer", "--event-type", "Asked", "--since", "2099-01-01")

    assert json.loads(file.read_text())["name"] == "Asked"
    assert "# Asked: event_properties.a: string" in said
    assert "# AppOpened: not proposed: asked: in fewer than 2 events" in rare
    assert never == ""


@pytest.mark.usefixtures("said")
def test_a_folder_that_is_broken_costs_nothing(site: Site) -> None:
    """It is counted and reported, and the known schemas keep working; once fixed it is used again."""
    registry = site.schemas / "registry.json"
    sound = registry.read_bytes()
    both = ("ingest", "warehouse")
    before = [site.metric(process, "schemas") for process in both]
    registry.write_text("{")
    eventually(lambda: all(site.metric(one, "schemas_refused_total") for one in both), 20, "both tell")
    site.post(wished("broken", 1))
    site.tables.wait("SELECT count() FROM tapcart.wished WHERE app_id = 'broken'", 1)
    registry.write_bytes(sound)

    assert [site.metric(process, "schemas") for process in both] == before
    assert all("schemas_refused" in site.stack.log(process) for process in both)


@pytest.mark.usefixtures("said")
def test_forty_days_take_one_insert_and_a_removal_each(site: Site) -> None:
    """One insert writes the parts of all days, and removals touch one day each and are awaited once."""
    days, kind = 40, "Scattered"
    events = [
        wished("days", number)
        | {"event_type": kind, "timestamp": 1_760_000_000_000 - number % days * 86_400_000}
        for number in range(2 * days)
    ]
    site.post(*events)
    site.tables.wait("SELECT count() FROM tapcart.unmodelled WHERE app_id = 'days'", 2 * days)
    site.run("schemas", "infer", "--event-type", kind, "--out", site.folder / "days")
    site.run("schemas", "add", site.folder / "days")
    replayed = site.run("consumers.replay", "--untyped", "--event-type", kind)

    assert replayed == f"{kind}: {2 * days} rows moved out of unmodelled\n"
    inserts = "SELECT uniqExact(_loaded_at), count() FROM tapcart_raw.scattered WHERE app_id = 'days'"
    assert site.tables.rows(inserts) == [[1, 2 * days]]
    removals = (
        "SELECT count(), uniqExact(extract(command, 'IN PARTITION ID \\'(\\\\d+)\\'')), countIf(NOT is_done)"
        f" FROM system.mutations WHERE table = 'unmodelled' AND position(command, '{kind}')"
    )
    assert site.tables.rows(removals) == [[days, days, 0]]
    assert site.tables.one("SELECT count() FROM tapcart_raw.unmodelled WHERE app_id = 'days'") == 0


_DAYS = (20251008, 20251009)
_DEADLY = {
    (Retyper.__module__, "move"),
    (Removals.__module__, "start"),
    (Removals.__module__, "wait"),
}


@pytest.mark.usefixtures("said")
def test_a_kill_at_any_line_loses_nothing(site: Site) -> None:
    """A moving row is in one table or in both, and the next run completes the move. Quick: at some lines."""
    sender = Sender(site.stack.kafka)  # knows no schema of these: its records are unmodelled
    settings = Settings.from_env(
        {"KAFKA_BOOTSTRAP_SERVERS": site.stack.kafka, "CLICKHOUSE_URL": site.stack.clickhouse_url}
    )
    parts = LoaderParts(settings, SchemaReloader(site.schemas))
    [source] = [one for one in sources(parts.schemas.catalog, "Wished") if one.moves]
    places = set()
    line = 0
    while True:
        app = f"killed{line}"
        events = [wished(app, number) for number in range(3)]
        events[2]["timestamp"] -= 86_400_000
        sender.events(*(json.dumps(event).encode() for event in events))
        site.tables.wait(f"SELECT count() FROM tapcart.unmodelled WHERE app_id = '{app}'", 3)
        died = kills.killed(lambda: _move(parts, settings, source), _DEADLY, line)
        counts = [site.count(table, f"app_id = '{app}'") for table in ("unmodelled", "wished")]
        assert counts[0] == 3 or counts[1] == 3
        places.add(tuple(counts))
        _move(parts, settings, source)
        assert site.count("events", f"app_id = '{app}'") == site.count("wished", f"app_id = '{app}'") == 3
        if not died:
            break
        line += kills.stride(5)
    assert line > 20
    assert places >= {(3, 0), (3, 3), (0, 3)}


def _move(parts: LoaderParts, settings: Settings, source: UntypedRows) -> None:
    retyper = Retyper(parts, settings)
    retyper.move(source, _DAYS)
    retyper.wait()


class Traffic:
    """Events posted one by one at a steady rate, with the acknowledged ones."""

    def __init__(self, site: Site, per_second: float) -> None:
        self.site = site
        self.acknowledged: set[str] = set()
        self.refused: list[int] = []
        self._pause = 1 / per_second
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _send(self) -> None:
        with httpx.Client(timeout=20) as client:
            due, number = time.monotonic(), 0
            while not self._stopping.wait(max(0.0, due - time.monotonic())):
                due, number = due + self._pause, number + 1
                event = opened("flow", number, event_id=str(uuid.UUID(int=number)), weather={"wind": "5"})
                if number % 2:
                    event |= {"event_type": "Greeted", "event_properties": {"words": "Hi", "length": "2"}}
                status = client.post(self.site.stack.ingest_url, json=event).status_code
                if status == 200:
                    self.acknowledged.add(event["event_id"])
                else:
                    self.refused.append(status)


@pytest.mark.usefixtures("said")
def test_columns_come_while_events_flow(site: Site) -> None:
    """No process restarts, no event is refused, lost or duplicated; all end in typed columns."""
    pids = {name: site.stack.pid(name) for name in PROCESSES}
    with Traffic(site, per_second=200) as traffic:
        site.tables.wait("SELECT count() > 200 FROM tapcart.unmodelled WHERE event_type = 'Greeted'", 1, 90)
        site.run("schemas", "infer", "--since", "1h", "--out", site.folder / "while")
        site.run("schemas", "add", site.folder / "while")
        replayed = site.run("consumers.replay", "--untyped")
        sent = len(traffic.acknowledged)
        eventually(lambda: len(traffic.acknowledged) > sent + 200, 30, "traffic")
    seen = "SELECT count() FROM tapcart.events WHERE app_id = 'flow'"
    site.tables.wait(seen, len(traffic.acknowledged))
    ids = {row[0] for row in site.tables.rows("SELECT event_id FROM tapcart.events WHERE app_id = 'flow'")}

    assert traffic.refused == []
    assert ids == traffic.acknowledged
    assert {name: site.stack.pid(name) for name in PROCESSES} == pids
    assert site.count("unmodelled", "event_type = 'Greeted'") == 0
    assert (
        site.count("greeted", "event_properties.length_number = 2 AND weather.wind_number = 5")
        == len(ids) // 2 + len(ids) % 2
    )
    assert site.count("app_opened", "app_id = 'flow' AND weather.wind_number = 5") == len(ids) // 2
    assert site.count("events", "app_id = 'flow' AND extra != ''") == 0
    assert site.count("quarantine", "1") == 0
    assert "Greeted" in replayed
    assert "nothing is missing" in site.run("consumers.reconcile")
