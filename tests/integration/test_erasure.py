"""People are erased from a whole stack, and nothing brings them back; others lose nothing."""

import json
import random
import re
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import Producer

from consumers.kit import events
from consumers.kit.erasures.erased_ids import DEVICE, ErasedIds, IdHashes
from consumers.kit.erasures.follower import ErasureError, ErasureFollower
from consumers.warehouse.privacy.held_rows import HeldRows
from consumers.warehouse.privacy.people import People
from runtime.kafka import topics
from tests.support.plain_files import OLD_FILES_SECONDS_MAX, holding, left_after, store_plain
from tests.support.planted import Person, erase, plant, somebody
from tests.support.site import Site
from tests.support.waiting import eventually

pytestmark = pytest.mark.slow

_KEY = "0123456789abcdef" * 4
_RULES = '[all]\nshopify_properties.shopify_user_id = "hash"\n'
_VISITS = """
SELECT device_id, arraySort(groupUniqArrayArray(events)) FROM tapcart_raw.visits
WHERE app_id = '{app}' GROUP BY device_id ORDER BY device_id
"""
_COMPUTED = """
SELECT device_id, arraySort(groupUniqArray(cityHash64(event_type, event_id))) FROM tapcart_raw.events
WHERE app_id = '{app}' GROUP BY device_id ORDER BY device_id
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A stack that hashes shoppers' ids, whose ClickHouse's files can be searched."""
    folder = tmp_path_factory.mktemp("erasure")
    (folder / "rules.toml").write_text(_RULES)
    (folder / "key").write_text(_KEY)
    (folder / "key").chmod(0o600)
    env = {"INGEST_REDACT": str(folder / "rules.toml"), "INGEST_REDACT_KEY_FILE": str(folder / "key")}
    running = Site(folder, "", **env)
    running.stack.start()
    try:
        store_plain(running.tables)
        yield running
    finally:
        running.stack.stop()


def gone(site: Site, one: Person) -> bool:
    """Whether nothing of the person is left, and everything of others is, in `visits` too."""
    places = {
        table: site.tables.one(f"SELECT count() FROM tapcart.{table} WHERE app_id = '{one.app}'")
        for table in ("events", "clickstream", "quarantine")
    }
    visits, computed = (site.tables.rows(sql.format(app=one.app)) for sql in (_VISITS, _COMPUTED))
    assert places == {"events": 3, "clickstream": 0, "quarantine": 0}
    assert visits == computed
    assert len(visits) == 2
    return True


def test_sql_and_python_find_the_same(site: Site) -> None:
    """Whatever stands around an id: escapes, lengths, other words, bytes that are no text."""
    ids = ("7120034455667", "gid://shopify/Customer/71", "Zoë-4242424 x", "device_of-somebody")
    pieces = (
        *ids,
        "\\u0064evice_of-somebody",
        "gid:\\/\\/shopify",
        "/Customer/71",
        "\\n",
        "\\",
        "a",
        "-",
        " ",
    )
    more = ('"', "\\u00e9", "\\u00E9712", "$device_of-somebody", "\0", "é", "9")
    dice = random.Random(7)
    texts = ["".join(dice.choices(pieces + more, k=dice.randint(1, 5))) for _ in range(2_000)]
    texts += [f"\0{text}" for text in texts[:500]]
    hashes = IdHashes(b"k" * 32)
    known = ErasedIds(hashes)
    for one in ids:
        known.add(hashes.tombstone(DEVICE, one, 1, ""))
    condition = (
        HeldRows(site.stack.clickhouse_url).filter_of(People({DEVICE: ids})).condition({"body": "String"})
    )
    listed = ", ".join(f"unhex('{text.encode().hex()}')" for text in texts)
    found = site.tables.rows(
        f"SELECT n - 1 FROM (SELECT arrayJoin(arrayEnumerate([{listed}] AS texts)) AS n, texts[n] AS body)"
        f" WHERE {condition} ORDER BY n"
    )
    stopped = [index for index, text in enumerate(texts) if known.stops_body(text.encode(), 1, "")]

    assert len(stopped) > 500
    assert [index for (index,) in found] == stopped


@dataclass(frozen=True)
class Erased:
    """Somebody who was everywhere, and is erased."""

    person: Person
    posted: list[dict[str, Any]]
    said: str


@pytest.fixture(scope="module")
def erased(site: Site) -> Erased:
    """Erase somebody."""
    one = somebody()
    posted = plant(site, one)
    counted = erase(site, *one.options, "--dry-run")
    status, said = erase(site, *one.options)

    assert counted[0] == 0
    assert "8 rows of " in counted[1]
    assert "this was a dry run" in counted[1]
    assert status == 0, said
    return Erased(one, posted, said)


def test_everything_of_a_person_goes_and_others_stay(site: Site, erased: Erased) -> None:
    """From every table; the command proves it, and says what it does not cover."""
    one, said = erased.person, erased.said

    assert gone(site, one)
    assert "app_opened: 3 rows" in said
    assert "quarantine: 2 rows" in said
    assert "0 rows are left" in said
    assert "Kafka keeps its copies" in said
    again = erase(site, *one.options)
    assert again[0] == 0
    assert "0 rows of 6 ids" in again[1]


def test_reloading_and_repairing_bring_nobody_back(site: Site, erased: Erased) -> None:
    """Kafka still has every record."""
    site.run("consumers.replay", "--from", "2020-01-01", "--to", "2100-01-01")
    report = json.loads(site.run("consumers.reconcile", "--repair", "--json"))

    assert gone(site, erased.person)
    assert report["totals"]["missing"] == 0
    assert report["totals"]["erased"] >= 6


def test_a_late_retry_brings_nobody_back(site: Site, erased: Erased) -> None:
    """The loader counts them."""
    before = site.metric("warehouse", "erased_rows_total")
    site.post(*erased.posted)
    eventually(lambda: site.metric("warehouse", "erased_rows_total") >= before + 4, 20)

    assert gone(site, erased.person)


def test_a_consumer_of_the_kit_does_not_get_them(site: Site, erased: Erased) -> None:
    """Nor does `tail`, which reads the same."""
    one, now_ms = erased.person, time.time_ns() // 1_000_000
    env = {"KAFKA_BOOTSTRAP_SERVERS": site.stack.kafka, "DATA_DIR": str(site.stack.data_dir)}
    env |= {"SCHEMAS_DIR": str(site.schemas), "INGEST_ADMIN_URL": site.stack.admin_url}
    stream = events(f"kit-{one.app}", app_id=one.app, env=env)
    got = set()
    for event in stream.ticking(0.1):
        if event is not None:
            got.add(event["event_id"])
        elif stream.read_until_ms >= now_ms:
            stream.stop()

    assert len(got) >= 3
    assert not got & {event["event_id"] for event in erased.posted}


@pytest.mark.parametrize("step", [2, 6, 9])
def test_a_killed_erasure_is_finished_by_the_next(site: Site, step: int) -> None:
    """Wherever it is killed: others keep everything, and `visits` is complete again."""
    one = somebody()
    plant(site, one)
    killed, _ = erase(site, str(step), *one.options, module="tests.support.erase")
    status, said = erase(site, "1000", *one.options, module="tests.support.erase")

    assert killed == -signal.SIGKILL
    assert status == 0, said
    assert gone(site, one)


def test_a_restored_backup_brings_nobody_back(site: Site) -> None:
    """Erased ids are found again by their tombstones alone."""
    one = somebody()
    plant(site, one)
    tables = ("app_opened", "unmodelled", "clickstream", "quarantine", "visits")
    site.tables.run("CREATE DATABASE IF NOT EXISTS backup ENGINE = Atomic")
    for table in tables:
        site.tables.run(f"CREATE TABLE backup.{table} AS tapcart_raw.{table} ENGINE = Memory")
        site.tables.run(
            f"INSERT INTO backup.{table} SELECT * FROM tapcart_raw.{table} WHERE app_id = '{one.app}'"
        )
    erased = erase(site, "1000", *one.options, module="tests.support.erase")
    for table in tables:
        site.tables.run(f"INSERT INTO tapcart_raw.{table} SELECT * FROM backup.{table}")
    again = erase(site, "--restored")
    site.tables.run("DROP DATABASE backup SYNC")

    assert (erased[0], again[0]) == (0, 0), erased[1] + again[1]
    assert "0 rows of erased people were back" not in again[1]
    assert gone(site, one)


def test_linked_ids_are_shown_and_followed_if_wanted(site: Site) -> None:
    """The devices of a user; their events go with `--follow` alone. Later ones stay."""
    one = somebody()
    own = {"device_id": one.device, "session_id": one.session}
    site.post(
        one.event(**own, shopify_properties={"shopify_user_id": one.user}), one.event(**own), one.event()
    )
    site.tables.wait(f"SELECT count() FROM tapcart.events WHERE app_id = '{one.app}'", 3)
    shown = erase(site, "--shopify-user-id", one.user, "--dry-run")
    followed = erase(site, "1000", "--shopify-user-id", one.user, "--follow", module="tests.support.erase")

    assert f"linked, and not erased without --follow: device_id {one.device}" in shown[1]
    assert "1 rows of " in shown[1]
    assert followed[0] == 0, followed[1]
    assert site.count("events", f"app_id = '{one.app}'") == 1
    site.post(one.event(device_id=one.device, timestamp=time.time_ns() // 1_000_000))
    site.tables.wait(f"SELECT count() FROM tapcart.events WHERE app_id = '{one.app}'", 2)


def test_tombstones_need_their_key(site: Site, erased: Erased) -> None:
    """Without it, or with another, nothing may be loaded."""
    assert erased
    kafka = {"bootstrap.servers": site.stack.kafka}
    key = (site.stack.data_dir / "erasure.key").read_bytes().strip()

    assert not ErasureFollower(kafka, "test", key).current().is_empty
    with pytest.raises(ErasureError, match="set ERASURE_KEY_FILE"):
        ErasureFollower(kafka, "test", None).current()
    with pytest.raises(ErasureError, match=r"not the key of tapcart\.erasures/0/0"):
        ErasureFollower(kafka, "test", b"k" * 32).current()


def test_only_tombstones_are_carried_over(site: Site, erased: Erased) -> None:
    """A record without a value stays behind: written as an empty one, it would stop every reader."""
    assert erased
    kafka, key = site.stack.kafka, (site.stack.data_dir / "erasure.key").read_bytes().strip()
    producer = Producer({"bootstrap.servers": kafka})
    producer.produce(topics.ERASURES, None, "withdrawn")
    assert producer.flush(10) == 0
    status, said = erase(site, "--carry-from", kafka)

    assert status == 0, said
    assert re.fullmatch(r"[1-9]\d* tombstones are copied\n", said)
    assert not ErasureFollower({"bootstrap.servers": kafka}, "test", key).current().is_empty


def test_the_files_hold_nothing_of_them(site: Site, erased: Erased) -> None:
    """Neither parts nor mutations nor logs of ClickHouse, searched as bytes."""
    one, folder = erased.person, site.stack.data_dir / "clickhouse"
    kept = [*holding(folder, [one.other])]

    assert any(path.startswith("store/") for path in kept)
    assert left_after(OLD_FILES_SECONDS_MAX, folder, [one.device, one.session, one.user]) == []
