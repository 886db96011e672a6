"""deploy/threats.md names existing tests: a defence without its test would be a promise without proof."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "deploy/threats.md").read_text()


def test_every_threat_has_a_test_that_exists() -> None:
    """Each entry names one or more."""
    entries = re.findall(r"^- \*\*.*(?:\n  .*)*", TEXT, re.MULTILINE)
    written = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }

    assert len(entries) > 20
    for entry in entries:
        named = set(re.findall(r"`(test_\w+)`", entry))
        assert named, entry
        assert named <= written, named - written
