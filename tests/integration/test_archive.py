"""`tapline archive` on a real engine: an object for each type, app and day, in a bucket and in a folder."""

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import obstore
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer
from obstore.store import LocalStore, ObjectStore, S3Store

from tests.support.process import SAMPLES, free_port
from tests.support.stack import ROOT, Stack
from tests.support.waiting import eventually
from tests.support.warehouse import Tables
from tests.support.web import WEB

_OPENED = json.loads((SAMPLES / "AppOpened.json").read_text())
_FIRST, _SECOND = "2026-03-01", "2026-03-02"
_BUCKET = "archive"
_LOGIN = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


@pytest.fixture(scope="module")
def s3() -> Iterator[dict[str, str]]:
    """A bucket's address and login, as an operator sets them."""
    port = free_port()
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    url = f"http://127.0.0.1:{port}"
    httpx.put(f"{url}/{_BUCKET}").raise_for_status()
    yield _LOGIN | {"AWS_ENDPOINT_URL": url, "AWS_ALLOW_HTTP": "true"}
    server.stop()


def event(app: str, day: str, name: str, **changes: Any) -> dict[str, Any]:
    """Return an event of a day."""
    at = datetime.fromisoformat(f"{day}T12:00:00").replace(tzinfo=UTC)
    sent = {"app_id": app, "event_id": name, "timestamp": round(at.timestamp() * 1000)}
    return {**_OPENED, **sent, **changes}


class Days:
    """An app's events of two days, in ClickHouse."""

    def __init__(self, stack: Stack) -> None:
        self.app = f"shop/{uuid.uuid4().hex[:8]}"  # a name that no path may hold as it is
        self._stack = stack
        self.tables = Tables(stack.clickhouse_url)

    def post(self, *events: dict[str, Any]) -> None:
        """Send events, and wait until all of the app's can be queried."""
        for one in events:
            assert WEB.post(self._stack.ingest_url, json=one).status_code == 200
        ids = {one["event_id"] for one in events}
        named = ", ".join(f"'{one}'" for one in ids)
        counted = f"SELECT count() FROM tapcart.events WHERE app_id = '{self.app}' AND event_id IN ({named})"
        eventually(lambda: int(self.tables.one(counted)) == len(ids))

    def archive(self, to: str, env: dict[str, str], *more: str, status: int = 0) -> str:
        """Run the command for the two days; return its output."""
        days = ("--from", _FIRST, "--until", "2026-03-03", "--app-id", self.app)
        return self._run("consumers.archive", "--to", to, *days, *more, env=env, status=status)

    def repair(self) -> None:
        """Load what a test deleted: other tests reconcile the same stack."""
        self._run("consumers.reconcile", "--repair", env={}, status=0)

    def _run(self, *command: str, env: dict[str, str], status: int) -> str:
        ours = {"KAFKA_BOOTSTRAP_SERVERS": self._stack.kafka, "CLICKHOUSE_URL": self._stack.clickhouse_url}
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env=os.environ | self._stack.env | ours | env,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def days(stack: Stack) -> Iterator[Days]:
    """Three types on two days; one event is posted twice."""
    found = Days(stack)
    app = found.app
    found.post(
        event(app, _FIRST, "one"),
        event(app, _FIRST, "one"),
        event(app, _FIRST, "two", device_id=None),
        event(app, _SECOND, "three"),
        event(app, _FIRST, "four", event_type="WishlistShared"),
    )
    yield found
    found.repair()


def ids(store: ObjectStore) -> dict[str, list[str]]:
    """Return the event ids of every object."""
    found = {}
    for some in obstore.list(store):
        for one in some:
            data = obstore.get(store, one["path"]).bytes()
            found[one["path"]] = (
                pq.ParquetFile(BytesIO(bytes(data))).read(["event_id"])["event_id"].to_pylist()
            )
    return found


def test_a_day_is_one_object_whatever_is_repeated(days: Days, s3: dict[str, str], tmp_path: Path) -> None:
    """Archiving again writes the same; late events are in it, and an emptied day's object is deleted."""
    folder = f"app_id={days.app.replace('/', '%2F')}"
    first, second = (f"app_opened/{folder}/date={day}/events.parquet" for day in (_FIRST, _SECOND))
    untyped = f"unmodelled/{folder}/date={_FIRST}/events.parquet"
    stores: list[tuple[str, ObjectStore, dict[str, str]]] = [
        (
            f"s3://{_BUCKET}/{tmp_path.name}",
            S3Store(
                _BUCKET,
                prefix=tmp_path.name,
                endpoint=s3["AWS_ENDPOINT_URL"],
                access_key_id=_LOGIN["AWS_ACCESS_KEY_ID"],
                secret_access_key=_LOGIN["AWS_SECRET_ACCESS_KEY"],
                region=_LOGIN["AWS_REGION"],
                client_options={"allow_http": True},
            ),
            s3,
        ),
        (f"file://{tmp_path}/archive", LocalStore(tmp_path / "archive", mkdir=True), {}),
    ]
    wanted = {first: ["two", "one"], second: ["three"], untyped: ["four"]}
    for to, store, env in stores:
        assert "3 objects" in days.archive(to, env)
        assert {path: sorted(found) for path, found in ids(store).items()} == {
            path: sorted(found) for path, found in wanted.items()
        }
        before = bytes(obstore.get(store, first).bytes())
        days.archive(to, env)
        assert bytes(obstore.get(store, first).bytes()) == before

    days.post(event(days.app, _SECOND, "late"))
    gone = f"app_id = '{days.app}' AND event_id IN ('one', 'two')"
    days.tables.run(f"ALTER TABLE tapcart_raw.app_opened DELETE WHERE {gone} SETTINGS mutations_sync = 2")
    for to, store, env in stores:
        assert "2 objects" in days.archive(to, env)
        assert {path: sorted(found) for path, found in ids(store).items()} == {
            second: ["late", "three"],
            untyped: ["four"],
        }


def test_the_columns_are_those_of_the_view(days: Days, tmp_path: Path) -> None:
    """With their types; a day that is outside the archived ones stays as it is."""
    days.archive(f"file://{tmp_path}", {})
    (path,) = tmp_path.glob(f"app_opened/*/date={_SECOND}/events.parquet")
    read = pq.read_table(path)
    names = [
        name
        for (name,) in days.tables.rows(
            "SELECT name FROM system.columns WHERE database = 'tapcart' AND table = 'app_opened'"
            " ORDER BY position"
        )
    ]

    assert read.column_names == names
    assert str(read.schema.field("timestamp").type) == "timestamp[ms, tz=UTC]"
    days.archive(f"file://{tmp_path}", {}, "--until", _SECOND)
    assert path.exists()


def test_a_bucket_that_is_not_there_is_a_sentence(days: Days, s3: dict[str, str]) -> None:
    """With the exit status of a failure that may pass."""
    said = days.archive("s3://nowhere", s3, status=2)

    assert "could not archive" in said
    assert "Traceback" not in said
