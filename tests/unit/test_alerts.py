"""Alerts and dashboards use existing metrics, promtool accepts them; each alert is documented and tested."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import consumers.kit.metrics
import consumers.live.metrics
import consumers.warehouse.metrics
import ingest.metrics
from deploy.local.settings import Settings
from deploy.prometheus.config import write

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = ROOT / "deploy/prometheus"
RULES = (PROMETHEUS / "rules.yml").read_text()
RUNBOOK = (ROOT / "deploy/runbook.md").read_text()
ALERTS = re.findall(r"- alert: (\w+)", RULES)
EXPRESSIONS = {
    f"{path.stem}: {panel['title']}, {target['refId']}": str(target["expr"])
    for path in sorted((ROOT / "deploy/grafana/dashboards").glob("*.json"))
    for panel in json.loads(path.read_text())["panels"]
    for target in panel["targets"]
}
ENDINGS = {
    "counter": ("_total",),
    "info": ("_info",),
    "histogram": ("_bucket", "_count", "_sum"),
    "gauge": ("",),
}
METRICS = {
    metric.name + ending
    for metrics in (
        ingest.metrics.Metrics(),
        consumers.warehouse.metrics.Metrics(),
        consumers.live.metrics.Metrics(),
        consumers.kit.metrics.Metrics(),
    )
    for metric in metrics.registry.collect()
    for ending in ENDINGS[metric.type]
} | {
    f"tapline_ingest_{name}"
    for name in re.findall(
        r'watch\(\s*"(\w+)"', "".join(path.read_text() for path in (ROOT / "ingest").rglob("*.py"))
    )
}


def promtool(*arguments: str, text: str | None = None) -> None:
    """Run promtool on files or on a text."""
    if not shutil.which("promtool"):
        pytest.skip("promtool is missing (Debian: apt install prometheus)")
    done = subprocess.run(
        ["promtool", *arguments],
        cwd=PROMETHEUS,
        input=text,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def unknown(text: str) -> set[str]:
    """Return the metrics in a text that no process has."""
    return set(re.findall(r"\btapline_\w+", text)) - METRICS


def test_rules_ask_for_metrics_that_exist() -> None:
    """A renamed metric would silence its alert forever."""
    assert not unknown(RULES)
    assert not unknown((PROMETHEUS / "rules_test.yml").read_text())


def test_dashboards_ask_for_metrics_that_exist() -> None:
    """In each panel."""
    assert len(EXPRESSIONS) > 30
    assert {title: names for title, text in EXPRESSIONS.items() if (names := unknown(text))} == {}


def test_promtool_takes_the_configuration_and_the_rules() -> None:
    """Like Prometheus at startup."""
    promtool("check", "config", "prometheus.yml")


def test_a_stack_on_ports_of_its_own_is_scraped_there(tmp_path: Path) -> None:
    """Even if one port is another's default, and with the page's password."""
    env = {"INGEST_ADMIN_PORT": "8081", "LIVE_PORT": "8083", "LIVE_TOKEN": 'sixteen "letters"'}
    path = write(tmp_path, Settings.from_env(env))
    jobs = re.findall(r"job_name: (\w+).*?127.0.0.1:(\d+)", path.read_text(), re.DOTALL)

    assert jobs == [("ingest", "8081"), ("live", "8083"), ("warehouse", "8082")]
    assert path.stat().st_mode & 0o077 == 0
    promtool("check", "config", str(path))


def test_promtool_takes_the_expressions_of_the_dashboards(tmp_path: Path) -> None:
    """As rules, because no other checker exists: JSON is YAML."""
    rules = [
        {"record": "panel", "expr": text, "labels": {"of": title}} for title, text in EXPRESSIONS.items()
    ]
    path = tmp_path / "rules.json"
    path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))

    promtool("check", "rules", str(path))


def test_every_alert_fires_and_rests_as_promtool_reckons() -> None:
    """Over minutes and days of simulated time."""
    promtool("test", "rules", "rules_test.yml")


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_explained_and_tested(alert: str) -> None:
    """Its annotation links to a paragraph that ends with commands; promtool tests its start and end."""
    paragraph = RUNBOOK.partition(f"\n## {alert}\n")[2].partition("\n## ")[0]
    tested = (PROMETHEUS / "rules_test.yml").read_text()

    assert f"runbook.md#{alert.lower()}" in RULES.partition(f"alert: {alert}\n")[2].partition("- alert")[0]
    assert "**Means**" in paragraph
    assert "**Do**" in paragraph
    assert "```sh\n" in paragraph
    assert re.search(rf"alertname: {alert}\n +exp_alerts", tested)
    assert re.search(rf"alertname: {alert}}}", tested)


def test_the_runbook_has_no_other_alerts() -> None:
    """Every heading that looks like an alert is one."""
    assert re.findall(r"^## (Tapline\w+)$", RUNBOOK, re.MULTILINE) == ALERTS
