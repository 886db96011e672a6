"""deploy/threats.md names existing tests: a defence without its test would be a promise without proof."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "deploy/threats.md").read_text()


def test_every_threat_has_a_test_that_exists() -> None:
    """Each row's last column names one or more."""
    rows = [line for line in TEXT.splitlines() if line.startswith("|") and "---" not in line]
    rows = [row for row in rows if not row.endswith("| test |")]
    written = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
    }

    assert len(rows) > 8
    for row in rows:
        named = set(re.findall(r"`(test_\w+)`", row.split("|")[-2]))
        assert named, row
        assert named <= written, named - written
