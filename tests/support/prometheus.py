"""A real Prometheus with the shipped configuration and rules, but seconds instead of minutes."""

import re
import shutil
import subprocess
import time
from contextlib import suppress
from math import nan
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import pytest

from deploy.local.settings import Settings
from deploy.prometheus.config import write
from tests.support.process import free_port
from tests.support.stack import Stack
from tests.support.waiting import eventually, patience
from tests.support.web import WEB

# Shipped text -> text for tests. A missing text fails the test, which would otherwise test something else.
_INTERVALS = {
    "scrape_interval: 10s": "scrape_interval: 500ms",
    "evaluation_interval: 10s": "evaluation_interval: 500ms",
}
_THRESHOLDS = {
    "[10m]": "[12s]",
    "[15m]": "[40s]",
    "> 60,": "> 8,",
    # More than an outage in these tests leaves behind, so its backlog fires nothing.
    "> 120": "> 20",
    "> 100000": "> 200",
}
_FOR = "3s"
# TaplineLate, TaplineLag and TaplineStalled wait longer than TaplineDown.
_FOR_LATE = "6s"

Alert = tuple[str, str]  # name of the alert; its subject


class Prometheus:
    """A Prometheus that scrapes a stack. A context manager."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        if not shutil.which("prometheus"):
            pytest.skip("prometheus is missing (Debian: apt install prometheus)")
        self._stack = stack
        self._folder = folder
        self._port = free_port()
        self._http = httpx.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=10)

    def __enter__(self) -> Self:
        config = write(self._folder, Settings.from_env(self._stack.env))
        rules = self._folder / "rules.yml"
        config.write_text(_replaced(config.read_text(), _INTERVALS))
        rules.write_text(_hurried_waits(_replaced(rules.read_text(), _THRESHOLDS)))
        with (self._folder / "prometheus.log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus",
                    f"--config.file={config}",
                    f"--storage.tsdb.path={self._folder / 'data'}",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                stderr=log,
            )
        eventually(self._ready, 20, "Prometheus")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(20 * patience())
        self._http.close()

    def active(self, *states: str) -> set[Alert]:
        """Return the alerts in one of these states: firing or pending."""
        alerts = self._get("/api/v1/alerts")["alerts"]
        return {_of(alert["labels"]) for alert in alerts if alert["state"] in states}

    def fired_since(self, moment: float) -> set[Alert]:
        """Return all alerts that fired since a moment of `time.time`."""
        seconds = max(1, int(time.time() - moment))  # excluding earlier ones
        query = f'ALERTS{{alertstate="firing"}}[{seconds}s]'
        return {_of(series["metric"]) for series in self._get("/api/v1/query", query=query)["result"]}

    def value(self, query: str) -> float:
        """Return the value of a query's only series; NaN if there is none."""
        found = self._get("/api/v1/query", query=query)["result"]
        return float(found[0]["value"][1]) if found else nan

    def wait(self, *expected: Alert, seconds_max: float = 30) -> None:
        """Wait until exactly these alerts fire. Raises: AssertionError with those that do."""
        seen: set[Alert] = set()

        def come() -> bool:
            nonlocal seen
            # Watching makes the page poll ClickHouse in every round.
            with suppress(httpx.HTTPError):
                WEB.get(f"{self._stack.live_url}/api/snapshot", timeout=0.3)
            # Nothing fires or is pending: the next test starts healthy.
            seen = self.active("firing") if expected else self.active("firing", "pending")
            return seen == set(expected)

        try:
            eventually(come, seconds_max, "alerts")
        except AssertionError:
            pytest.fail(f"{sorted(expected)} should fire; {sorted(seen)} do")

    def _ready(self) -> bool:
        try:
            targets = self._get("/api/v1/targets")["activeTargets"]
        except httpx.HTTPError:
            return False
        return len(targets) == 3 and all(target["health"] == "up" for target in targets)

    def _get(self, path: str, **parameters: str) -> dict[str, Any]:
        answer = self._http.get(path, params=parameters).raise_for_status()
        data: dict[str, Any] = answer.json()["data"]
        return data


def _of(labels: dict[str, str]) -> Alert:
    about = next((labels[name] for name in ("component", "app_id", "disk") if name in labels), "")
    return labels["alertname"], about


def _replaced(text: str, changes: dict[str, str]) -> str:
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    return text


def _hurried_waits(rules: str) -> str:
    """Return the rules with short waits."""
    alerts = re.split(r"(?=- alert: )", rules)
    return "".join(
        re.sub(
            r"for: \w+", f"for: {_FOR_LATE if re.search('TaplineLa|TaplineSt', alert[:40]) else _FOR}", alert
        )
        for alert in alerts
    )
