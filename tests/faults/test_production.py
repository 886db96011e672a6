"""`make faults-production`, small: a minute of posts, one restart of each part, a restore."""

import shutil
from pathlib import Path

import pytest

from tests.faults.harness.ledger import Entry, Ledger
from tests.faults.production import report
from tests.faults.production.run import Options, Run
from tests.support.waiting import is_busy

_PARTS = ["broker 1", "ingest-1", "loader-1", "live", "Caddy", "ClickHouse"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not shutil.which("pebble"), reason="no pebble here (Debian: apt install pebble)"),
]


@pytest.mark.timeout(1800)
def test_a_production_loses_nothing_while_it_is_restarted_and_restored(tmp_path: Path) -> None:
    """Both systems have each event once, no post is refused; the judge notices an event that is missing."""
    options = Options(3, rate=20, minutes=1, sample=200, folder=tmp_path, one_of_each=True)
    with Run(options, print) as run:
        outcome = run.run()
        ledger = Ledger(run.ledger)
        ledger.add(Entry(10**6, 200, 1, 1, 1, 1))  # never sent
        ledger.write()
        missing = run.judge("restored")
    page = report.markdown(options, outcome)
    is_forgiven = is_busy()  # that its posts are refused
    wrong = [one for one in outcome.complaints if not (is_forgiven and "posts" in one and "refused" in one)]

    assert wrong == [], page
    assert [restart.name for restart in outcome.restarts] == _PARTS
    assert outcome.figures.acknowledged > 60 * 20 / 2
    assert 0 < outcome.rows_restored < outcome.rows
    assert outcome.refused or "**passed: nothing refused, lost or doubled" in page
    assert any("1 lost" in complaint for complaint in missing), missing
