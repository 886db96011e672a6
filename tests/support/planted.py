"""Somebody who is in every place of a stack, and the command that erases them."""

import json
import os
import subprocess
import sys
import uuid
from dataclasses import dataclass
from typing import Any

import httpx

from schemas.catalog.wire import HEADER_BYTES, prefix
from tests.support.process import SAMPLES
from tests.support.site import Site
from tests.support.stack import ROOT
from tests.support.warehouse import Sender, value

_OPENED: dict[str, Any] = json.loads((SAMPLES / "AppOpened.json").read_text())


@dataclass(frozen=True)
class Person:
    """Somebody who is in every place, and an app that others use too."""

    app: str
    device: str
    session: str
    user: str
    other: str  # another's device

    @property
    def options(self) -> tuple[str, ...]:
        """The options that name them."""
        ids = ("--device-id", self.device, "--session-id", self.session, "--shopify-user-id", self.user)
        return (*ids, "--app-id", self.app)

    def event(self, **changes: Any) -> dict[str, Any]:
        """Return a new event of the other."""
        own = {"event_id": str(uuid.uuid4()), "app_id": self.app, "device_id": self.other}
        session = {"session_id": f"session-of-{self.other}", "session_properties": None}
        return _OPENED | {"device_properties": None, **session, **own, **changes}

    def mine(self) -> list[dict[str, Any]]:
        """Return events of the person."""
        return [
            self.event(device_id=self.device, session_id=self.session),
            self.event(note={"of": [f"see {self.device}!"]}),
            self.event(event_type="Wished", event_properties={"by": self.device}),
            self.event(shopify_properties={"shopify_user_id": self.user}),
        ]

    def theirs(self) -> list[dict[str, Any]]:
        """Return events of others."""
        return [
            self.event(),
            self.event(device_id=f"{self.device[:-1]}-"),
            self.event(event_type="Wished", event_properties={"by": "somebody"}),
        ]


def somebody() -> Person:
    """Return a new person."""
    device, session, other = (f"{name}-{uuid.uuid4()}" for name in ("device", "session", "other"))
    return Person(f"app-{uuid.uuid4()}", device, session, str(uuid.uuid4().int)[:13], other)


def plant(site: Site, one: Person) -> list[dict[str, Any]]:
    """Put the person everywhere; return the events."""
    mine = one.mine()
    site.post(*mine, *one.theirs())
    click = {
        "event": "cartAdd",
        "data": {"for": one.device},
        "mp_metadata": {"mp_event_id": str(uuid.uuid4())},
    }
    with httpx.Client(timeout=20) as client:
        headers = {"appid": one.app, "deviceid": "x"}
        assert client.post(site.stack.ingest_url, json=click, headers=headers).status_code == 200
        escaped = json.dumps(one.event(timestamp=1, device_id="DEVICE"))
        escaped = escaped.replace("DEVICE", f"\\u0064{one.device[1:]}")
        assert client.post(site.stack.ingest_url, content=escaped).status_code == 422
    # A record that the loader refuses, as bytes that it cannot decode.
    data = value(json.dumps(mine[0]).encode())
    unknown = prefix(2_000_000_000) + data[HEADER_BYTES:]
    sender = Sender(site.stack.kafka)
    sender.put(unknown, key=one.app.encode())
    sender.flush()
    site.tables.wait(f"SELECT count() FROM tapcart.events WHERE app_id = '{one.app}'", 7)
    site.tables.wait(f"SELECT count() FROM tapcart.clickstream WHERE app_id = '{one.app}'", 1)
    site.tables.wait(f"SELECT count() FROM tapcart.quarantine WHERE app_id = '{one.app}'", 2)
    return mine


def erase(site: Site, *options: str, module: str = "consumers.erase") -> tuple[int, str]:
    """Run the command; return its status and all that it said."""
    done = subprocess.run(
        [sys.executable, "-m", module, *options],
        cwd=ROOT,
        env=os.environ | site.stack.env
        | {"KAFKA_BOOTSTRAP_SERVERS": site.stack.kafka, "CLICKHOUSE_URL": site.stack.clickhouse_url},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr
