"""Every alert fires and clears, and no other does: a real Prometheus on a real stack that is broken."""

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx
import pytest

from consumers.live import app_activity
from tests.faults.test_disk import mounted
from tests.support.live import event, sql
from tests.support.prometheus import Alert, Prometheus
from tests.support.stack import ROOT, Stack
from tests.support.tls import Authority, Server, serving
from tests.support.waiting import eventually, patience
from tests.support.web import WEB

pytestmark = pytest.mark.slow

_DAY_MS = 86_400_000
STARTS = "changes(tapline_live_started_at_seconds[40s])"


def assert_fired(prometheus: Prometheus, began: float, expected: set[Alert]) -> None:
    """Nothing else fired. On a busy machine, a service may not answer for seconds, which is an alert too."""
    fired = prometheus.fired_since(began)
    if patience() > 1:
        fired = {alert for alert in fired if alert in expected or alert[0] != "TaplineDown"}
    assert fired == expected


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The issuer of the public address's certificate."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def public(authority: Authority) -> Iterator[Server]:
    """The public address; it gets nothing but handshakes."""
    with serving(authority.issue(), BaseHTTPRequestHandler) as server:
        yield server


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Small disks for spool and ClickHouse inside a stack's folder, if possible."""
    data = tmp_path_factory.mktemp("alerts")
    folders = {"spool": data / "spool-disk", "clickhouse": data / "clickhouse"}
    with ExitStack() as stack:
        with suppress(pytest.skip.Exception):
            stack.enter_context(mounted(folders["spool"], "8m"))
            stack.enter_context(mounted(folders["clickhouse"], "512m"))
        yield folders


@pytest.fixture(scope="module")
def stack(authority: Authority, public: Server, disks: dict[str, Path]) -> Iterator[Stack]:
    """A stack with a small spool and a public address."""
    env = {
        "INGEST_SPOOL_DIR": str(disks["spool"] / "spool"),
        "INGEST_SPOOL_BYTES_MAX": "1048576",
        "LIVE_REFRESH_SECONDS": "0.1",
        "LIVE_QUERY_SHARE_MAX": "1",
        "LIVE_QUERY_SECONDS_MAX": "1",
        "SSL_CERT_FILE": str(authority.path),
        "TAPLINE_PUBLIC_URL": f"https://localhost:{public.port}",
        "PYTHONPATH": str(ROOT / "tests" / "hanging"),
        "TAPLINE_HANG": str(disks["clickhouse"].parent / "hang"),
    }
    running = Stack(disks["clickhouse"].parent, env=env).start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def prometheus(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """A Prometheus that scrapes that stack."""
    with Prometheus(stack, tmp_path_factory.mktemp("prometheus")) as running:
        yield running


def post(stack: Stack, count: int, **changes: object) -> None:
    """Post events, which must be acknowledged."""
    with httpx.Client(timeout=10) as client:
        for _ in range(count):
            assert client.post(stack.ingest_url, content=event("AppOpened", **changes)).status_code == 200


@pytest.mark.parametrize("name", ["clickhouse", "ingest", "live", "warehouse"])
def test_a_process_that_hangs_is_one_alert(stack: Stack, prometheus: Prometheus, name: str) -> None:
    """Alerts for its consequences are held back; once it continues, nothing fires."""
    prometheus.wait()
    began = time.time()
    pid = stack.kill(name, signal.SIGSTOP)
    try:
        if name != "ingest":
            post(stack, 30)  # they cannot be queried
        prometheus.wait(("TaplineDown", name))
    finally:
        os.kill(pid, signal.SIGCONT)
    prometheus.wait()

    assert_fired(prometheus, began, {("TaplineDown", name)})


def test_a_look_that_hangs_is_one_alert(stack: Stack, prometheus: Prometheus) -> None:
    """The page answers, but its freshness is outdated."""
    prometheus.wait()
    began = time.time()
    hang = Path(stack.env["TAPLINE_HANG"])
    hang.touch()
    try:
        prometheus.wait(("TaplineStalled", "live"), seconds_max=60)
    finally:
        hang.unlink()
    prometheus.wait()

    assert_fired(prometheus, began, {("TaplineStalled", "live")})


def test_a_process_that_ends_again_and_again_is_one_alert(stack: Stack, prometheus: Prometheus) -> None:
    """Although each restart is too fast for it to count as down."""
    prometheus.wait()
    began = time.time()
    for count in range(1, 4):
        pid = stack.kill("live")
        assert eventually(lambda pid=pid: stack.pid("live") != pid)  # type: ignore[misc]
        assert eventually(lambda count=count: prometheus.value(STARTS) == count)  # type: ignore[misc]
    prometheus.wait(("TaplineRestarts", "live"))
    prometheus.wait(seconds_max=90)

    assert {("TaplineRestarts", "live")} <= prometheus.fired_since(began)
    assert prometheus.fired_since(began) <= {("TaplineRestarts", "live"), ("TaplineDown", "live")}


def test_kafka_away_is_one_alert_until_the_spool_fills(stack: Stack, prometheus: Prometheus) -> None:
    """A filling spool is a separate problem, with less time left."""
    prometheus.wait()
    began = time.time()
    pid = stack.kill("kafka", signal.SIGSTOP)
    try:
        post(stack, 30)
        prometheus.wait(("TaplineDown", "kafka"))
        post(stack, 90, note="x" * 8000)
        prometheus.wait(("TaplineDown", "kafka"), ("TaplineSpoolFilling", ""))
    finally:
        os.kill(pid, signal.SIGCONT)
    prometheus.wait()

    assert_fired(prometheus, began, {("TaplineDown", "kafka"), ("TaplineSpoolFilling", "")})


def test_a_loader_that_runs_and_loads_nothing_lags_then_is_late(stack: Stack, prometheus: Prometheus) -> None:
    """A table is detached: all processes answer, but nothing is loaded."""
    prometheus.wait()
    began = time.time()
    sql(stack, "DETACH TABLE tapcart_raw.app_opened")
    try:
        post(stack, 250)
        prometheus.wait(("TaplineLag", ""))
        prometheus.wait(("TaplineLate", ""), seconds_max=60)
    finally:
        sql(stack, "ATTACH TABLE tapcart_raw.app_opened")
    prometheus.wait()

    assert_fired(prometheus, began, {("TaplineLag", ""), ("TaplineLate", "")})


def test_troubles_of_their_own_are_alerts_of_their_own(
    stack: Stack, prometheus: Prometheus, public: Server, authority: Authority
) -> None:
    """Certificate, silent app, quarantine: each fires, then all are fixed."""
    prometheus.wait()
    began = time.time()
    expected = [("TaplineCertificate", "")]
    public.show(authority.issue(days=5))
    prometheus.wait(*expected)

    now_ms = time.time_ns() // 1_000_000
    for days in range(1, 8):
        post(stack, 6, app_id="quiet", timestamp=now_ms - days * _DAY_MS - 1000)
    expected.append(("TaplineAppSilent", "quiet"))
    prometheus.wait(*expected)

    for number in range(30):
        assert WEB.post(stack.ingest_url, content=json.dumps({"number": number})).status_code == 422
    expected.append(("TaplineQuarantine", ""))
    prometheus.wait(*expected)

    public.show(authority.issue())
    post(stack, 1, app_id="quiet", timestamp=time.time_ns() // 1_000_000)
    prometheus.wait()
    assert_fired(prometheus, began, set(expected))


@pytest.mark.parametrize("name", ["clickhouse", "spool"])
def test_a_disk_that_fills_is_one_alert(prometheus: Prometheus, disks: dict[str, Path], name: str) -> None:
    """Until there is room again."""
    disk = disks[name]
    if not disk.is_mount():
        pytest.skip("needs root and the right to mount a tmpfs")
    prometheus.wait()
    began = time.time()
    (disk / "filler").write_bytes(bytes(shutil.disk_usage(disk).free * 95 // 100))
    prometheus.wait(("TaplineDisk", name))
    (disk / "filler").unlink()
    prometheus.wait()

    assert_fired(prometheus, began, {("TaplineDisk", name)})


def test_a_certificate_that_is_refused_is_one_alert(
    prometheus: Prometheus, public: Server, authority: Authority
) -> None:
    """A certificate for another host, valid for months, is as bad as an expired one."""
    prometheus.wait()
    began = time.time()
    public.show(authority.issue(host="elsewhere"))
    prometheus.wait(("TaplineCertificate", ""))
    public.show(authority.issue())
    prometheus.wait()

    assert_fired(prometheus, began, {("TaplineCertificate", "")})


def test_apps_beyond_the_limit_count_together(stack: Stack) -> None:
    """For any number of apps, labels are bounded."""
    now_ms = time.time_ns() // 1_000_000
    for app_id, count in (("large", 500), ("small", 2), ("smaller", 1)):
        post(stack, count, app_id=app_id, timestamp=now_ms - 2 * _DAY_MS - 1000)
    asked = app_activity.apps_parameters(now_ms, 30, 1)

    def counts() -> list[list[str]]:
        parameters = {f"param_{name}": str(value) for name, value in asked.items()}
        answer = WEB.post(stack.clickhouse_url, params=parameters, content=app_activity.APPS)
        return [line.split("\t") for line in answer.raise_for_status().text.splitlines()]

    assert eventually(lambda: sum(json.loads(row[1])[2] for row in counts()) >= 503)
    assert [row[0] for row in counts()] == ["(other)", "large"]
