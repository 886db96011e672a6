"""Settings of a stack -> its current state, whichever of its parts run.

Invariants: read-only; each check is bounded in time; unknown values are reported as unknown, never guessed. A
process is up if it answers; its id comes from DATA_DIR/run, if it runs on this machine.
"""

import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil

from consumers.kit.ingest_state import WAYS
from deploy.local import folder, services, starts
from deploy.local.settings import Settings
from deploy.status.formatting import amount, bytes_text

_SECONDS_MAX = 2.5
_NAMES = ("ingest", "kafka", "warehouse", "clickhouse", "live")
# same as the alerts
_FRESHNESS_MS_MAX, _KNOWN_MS_MAX, _LAG_MAX, _SPOOL_MAX, _FREE_MIN = 120_000, 60_000, 100_000, 0.5, 0.1

_Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class ProcessStatus:
    """One process of the pipeline."""

    name: str
    is_up: bool
    detail: str
    pid: int | None
    uptime_seconds: float | None
    starts: int = 1  # since the stack's start; more than 1: it ended and was restarted


@dataclass(frozen=True, slots=True)
class Fact:
    """One number of the pipeline, as text."""

    name: str
    text: str
    is_well: bool = True


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the whole stack."""

    processes: tuple[ProcessStatus, ...]
    facts: tuple[Fact, ...]
    urls: tuple[tuple[str, str], ...]

    @property
    def runs(self) -> bool:
        """Whether any process runs."""
        return any(process.is_up or process.pid for process in self.processes)

    @property
    def is_well(self) -> bool:
        """Whether all processes and facts are well."""
        return all(process.is_up for process in self.processes) and all(fact.is_well for fact in self.facts)


def collect(settings: Settings) -> Status:
    """Collect the current state."""
    at = services.addresses(settings)
    token = settings.live_token.get_secret_value()
    headers = {"authorization": f"Bearer {token}"} if token else {}
    with httpx.Client(timeout=_SECONDS_MAX, trust_env=False) as http:
        intake = _json(http, f"{at.ingest_admin}/readyz")
        page = _json(http, f"{at.live}/api/snapshot", headers)
        pings = _text(http, f"{at.clickhouse}/ping") == "Ok.\n"
        alerts = _alerts(http, settings.prometheus_port)
    seen = _seen(intake, page, at.kafka, pings=pings)
    return Status(
        tuple(_process(settings.data_dir, name, seen[name]) for name in _NAMES),
        (*_facts(intake or {}, page), *_confinement(settings.data_dir), *_disk(settings.data_dir), alerts),
        (
            ("webhook", f"{at.ingest}/tapcart_webhooks/<token>  (`make url`)"),
            ("page", at.live),
            ("ClickHouse", at.clickhouse),
            ("Kafka", at.kafka),
        ),
    )


def _seen(
    intake: _Json | None, page: _Json | None, kafka: str, *, pings: bool
) -> dict[str, tuple[bool, str]]:
    """Return whether each process is up, with its detail; only Kafka knows about the loader."""
    components = {one["name"]: (one["health"], one["detail"]) for one in (page or {}).get("components", ())}
    nobody = ("unknown", "unknown, because the live page does not answer")
    kafka_health, kafka_detail = components.get("kafka", nobody)
    warehouse_health, warehouse_detail = components.get("warehouse", nobody)
    _, clickhouse_detail = components.get("clickhouse", ("", "answers"))
    reached = kafka_health == "up" if page else _connects(kafka)
    return {
        "ingest": _of_intake(intake),
        "kafka": (reached, kafka_detail if page else "its port is open" if reached else "does not answer"),
        "warehouse": (warehouse_health == "up", warehouse_detail),
        "clickhouse": (pings, clickhouse_detail if pings else "does not answer"),
        "live": (page is not None, "answers" if page else "does not answer"),
    }


def _of_intake(intake: _Json | None) -> tuple[bool, str]:
    if intake is None:
        return False, "does not answer"
    if not intake.get("ready"):
        return False, f"accepts no events: {intake.get('spool_unavailable') or 'the spool is full'}"
    return True, f"accepts events {WAYS.get(intake.get('state', ''), 'to Kafka or to its disk')}"


def _process(data_dir: Path, name: str, seen: tuple[bool, str]) -> ProcessStatus:
    is_up, detail = seen
    try:
        pid = int((data_dir / "run" / f"{name}.pid").read_text())
        found = psutil.Process(pid)
        if found.status() == psutil.STATUS_STOPPED:
            is_up, detail = False, f"is stopped: kill -CONT {pid}"
        elif name == "warehouse" and not _listens(found):
            detail += "; it serves no metrics (WAREHOUSE_METRICS_PORT)"
        start = starts.read(data_dir / "run", name)
        uptime = time.time() - found.create_time()
        return ProcessStatus(name, is_up, detail, pid, uptime, start.count if start else 1)
    except (OSError, ValueError, psutil.Error):
        return ProcessStatus(name, is_up, detail, None, None)


def _listens(process: psutil.Process) -> bool:
    """Return whether a process listens on a port, as a loader with metrics does."""
    return any(one.status == psutil.CONN_LISTEN for one in process.net_connections(kind="tcp"))


def _facts(intake: _Json, page: _Json | None) -> Iterator[Fact]:
    yield from (
        _of_page(page)
        if page
        else [Fact("numbers", "unavailable, because the live page does not answer", is_well=False)]
    )
    if "topic_problems" in intake:
        yield _topics(intake["topic_problems"])
    if "spool_bytes" in intake:
        full = intake["spool_bytes"] / intake["spool_bytes_max"]
        text = f"{amount(intake['spool_records'], 'record')}, {bytes_text(intake['spool_bytes'])}"
        yield Fact("spool", f"{text}, {full:.0%} full", full < _SPOOL_MAX)
    if files := intake.get("set_aside_files"):
        text = f"{amount(files, 'file')} that no topic accepts, {bytes_text(intake['set_aside_bytes'])}"
        yield Fact("set aside", f"{text}: make spool", is_well=False)


def _topics(problems: list[_Json] | None) -> Fact:
    if problems is None:
        return Fact("topics", "unknown", is_well=False)
    text = "; ".join(f"{one['topic']} {one['words']}" for one in problems)
    return Fact("topics", text or "configured correctly", not problems)


def _of_page(page: _Json) -> Iterator[Fact]:
    age_ms = page["freshness"]["age_ms"]
    text = (
        "unknown" if age_ms is None else f"{age_ms / 1000:.1f} s" if age_ms else "every event can be queried"
    )
    known_ms = page["now_ms"] - (page["freshness"]["as_of_ms"] or page["now_ms"])
    is_old = known_ms > _KNOWN_MS_MAX
    text += f", as of {known_ms / 1000:.0f} s ago" if is_old else ""
    yield Fact("freshness", text, age_ms is not None and age_ms <= _FRESHNESS_MS_MAX and not is_old)
    if window := page["window"]:
        delay = window["delay_p99_ms"]
        late = f", 99% queryable within {delay / 1000:.1f} s" if delay is not None else ""
        yield Fact("events", f"{window['per_second']:.1f} per second{late}")
    if total := page["total"]:
        yield Fact("in ClickHouse", amount(total["count"], "event"))
    if lag := page["lag"]:
        text = f"{amount(lag['records'], 'record')} in Kafka not loaded yet"
        yield Fact("lag", text, lag["records"] < _LAG_MAX)
    if quarantine := page["quarantine"]:
        text = f"{amount(quarantine['count'], 'body', 'bodies')}, {quarantine['waiting']:,} not replayed"
        yield Fact("quarantine", text)


def _confinement(data_dir: Path) -> Iterator[Fact]:
    if text := folder.confinement(data_dir):
        yield Fact("ClickHouse", text)


def _disk(data_dir: Path) -> Iterator[Fact]:
    try:
        usage = shutil.disk_usage(data_dir)
    except OSError:
        return
    free = usage.free / usage.total
    yield Fact("disk", f"{bytes_text(usage.free)} free, {free:.0%}", free >= _FREE_MIN)


def _alerts(http: httpx.Client, port: int) -> Fact:
    answer = _json(http, f"http://127.0.0.1:{port}/api/v1/alerts")
    if answer is None or "alerts" not in answer.get("data", {}):
        return Fact("alerts", "no Prometheus runs here (`make prometheus`)")
    firing = [alert for alert in answer["data"]["alerts"] if alert["state"] == "firing"]
    text = "; ".join(f"{alert['labels']['alertname']}: {alert['annotations']['summary']}" for alert in firing)
    return Fact("alerts", text or "none firing", not firing)


def _connects(address: str) -> bool:
    host, _, port = address.split(",", maxsplit=1)[0].rpartition(":")
    try:
        with socket.create_connection((host, int(port)), _SECONDS_MAX):
            return True
    except (OSError, ValueError):
        return False


def _text(http: httpx.Client, url: str) -> str:
    try:
        return http.get(url).text
    except httpx.HTTPError:
        return ""


def _json(http: httpx.Client, url: str, headers: dict[str, str] | None = None) -> _Json | None:
    """Return the JSON object at a URL, or None."""
    try:
        found = http.get(url, headers=headers or {}).json()
    except (httpx.HTTPError, ValueError):
        return None
    return found if isinstance(found, dict) else None
