"""Every name that users rely on is documented in README or docs/."""

import re
from pathlib import Path

import pytest

import consumers.kit.metrics
import consumers.kit.settings
import consumers.live.metrics
import consumers.live.settings
import consumers.warehouse.metrics
import consumers.warehouse.repair.replayer
import consumers.warehouse.settings
import deploy.local.clickhouse.settings
import deploy.local.settings
import ingest.metrics
import ingest.settings
import schemas.settings
from ingest.http.problem import TITLES
from runtime.kafka import topics

ROOT = Path(__file__).resolve().parents[2]
TEXT = "".join(path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))))
WORDS = frozenset(re.findall(r"[\w.]+", TEXT))

SETTINGS = (
    consumers.kit.settings.Settings,
    consumers.live.settings.Settings,
    consumers.warehouse.repair.replayer.IngestAccess,
    consumers.warehouse.settings.Settings,
    deploy.local.clickhouse.settings.Settings,
    deploy.local.settings.Settings,
    ingest.settings.Settings,
    schemas.settings.Settings,
)
VARIABLES = sorted({str(field.alias) for settings in SETTINGS for field in settings.model_fields.values()})
METRICS = sorted(
    metric.name
    for metrics in (
        ingest.metrics.Metrics(),
        consumers.warehouse.metrics.Metrics(),
        consumers.kit.metrics.Metrics(),
        consumers.live.metrics.Metrics(),
    )
    for metric in metrics.registry.collect()
)
WATCHED = sorted(
    f"tapline_ingest_{name}"
    for name in re.findall(
        r'watch\(\s*"(\w+)"', "".join(path.read_text() for path in (ROOT / "ingest").rglob("*.py"))
    )
)


@pytest.mark.parametrize("name", VARIABLES)
def test_a_setting_is_documented(name: str) -> None:
    """By the name of its variable."""
    assert name in WORDS


@pytest.mark.parametrize("name", [*METRICS, *WATCHED])
def test_a_metric_is_documented(name: str) -> None:
    """By name, without a counter's suffix."""
    assert name in WORDS


@pytest.mark.parametrize("status", sorted(TITLES.keys() - {404, 405}))
def test_a_status_is_documented(status: int) -> None:
    """In the table of answers."""
    assert re.search(rf"^\|[^|]*\b{status}\b[^|]*\|", TEXT, re.MULTILINE)


@pytest.mark.parametrize("topic", topics.ALL)
def test_a_topic_is_documented(topic: str) -> None:
    """By its name."""
    assert topic in WORDS


def test_every_test_named_in_the_failure_table_exists() -> None:
    """A failure without its test would be a promise without proof."""
    table = (ROOT / "docs/failures.md").read_text()
    named = set(re.findall(r"`(test_\w+)`", table))
    written = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }

    assert len(named) > 20
    assert named <= written
