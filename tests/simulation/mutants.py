"""Mistakes that the simulation must find, each a change of text in a copy of the checkout."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.faults.harness.mutants import mutate
from tests.support.stack import ROOT

_PARTS = ("runtime", "schemas", "ingest", "tests")
_SEEDS = 2000
_RUN_SECONDS_MAX = 240.0


@dataclass(frozen=True, slots=True)
class Mutant:
    """One mistake."""

    path: str
    changes: Mapping[str, str]  # text -> its replacement
    complaint: str  # regular expression


_PUBLISHER = "ingest/delivery/publisher.py"
_SPOOL, _WRITER = "ingest/delivery/spool.py", "ingest/delivery/segment_writer.py"
_HAND_OVER = "ingest/delivery/hand_over.py"
_LOST, _ORDER = "acknowledged and is lost|its file is removed", "precedes what was acknowledged before it"

MUTANTS: Mapping[str, Mutant] = {
    "catching_up_forgets_order": Mutant(
        _PUBLISHER,
        {"(self._hold and await self._is_direct_after(self._hold))": "self._hold"},
        _ORDER,
    ),
    "direct_before_the_tail_is_delivered": Mutant(
        _PUBLISHER,
        {
            "                    await self._hand_over.deliver(piece)": (
                "                    asyncio.ensure_future(self._hand_over.deliver(piece))"
            ),
            '        assert self._spool.empty, "a record spooled while direct would never be drained"\n': "",
        },
        ".+",
    ),
    "what_follows_a_refused_record_is_not_repeated": Mutant(
        _HAND_OVER,
        {
            "outcomes[failed:] = await _outcomes(map(self._producer.produce_alone, records[failed:]))": (
                "outcomes = [(await _outcomes([self._producer.produce_alone(r)]))[0] "
                "if isinstance(o, RefusedError) else o for r, o in zip(records, outcomes)]"
            )
        },
        _ORDER,
    ),
    "refused_record_dropped": Mutant(
        _HAND_OVER,
        {"self._rescue.refused(records[n], str(outcomes[n])) for n": "asyncio.sleep(0) for n"},
        _LOST,
    ),
    "refused_record_of_the_quarantine_dropped": Mutant(
        "ingest/delivery/rescue.py",
        {"await self._set_aside.keep(segment.frame(record), record.timestamp_ms)": "pass"},
        "is not synced",
    ),
    "acknowledged_before_fsync": Mutant(
        _WRITER, {"            self._disk.sync(self._descriptor)\n": ""}, "is not synced"
    ),
    "acknowledged_before_its_files_name_is_synced": Mutant(
        _WRITER, {"        self._disk.sync_folder(self._folder)\n": ""}, "is not synced"
    ),
    "written_again_after_a_failed_write": Mutant(
        _WRITER, {"            self._abandon()\n": ""}, _LOST + "|is not synced"
    ),
    "lost_report_never_given_up": Mutant(
        _PUBLISHER,
        {"if self._producer.oldest_seconds() > self._acknowledge_seconds_max:": "if False:"},
        "not answered in time",
    ),
    "a_failed_attempt_is_not_read_again": Mutant(_PUBLISHER, {"        self._spool.rewind()\n": ""}, ".+"),
    "segment_removed_before_its_reports": Mutant(
        _SPOOL,
        {"if self._segments[path].delivered == self._segments[path].size:": "if True:"},
        _LOST + "|KeyError",
    ),
    "what_was_given_up_stays_in_memory": Mutant(
        _SPOOL, {"if self._waiting.pop(number, None):": "if False:"}, "wait for the disk"
    ),
    "catching_up_waits_for_silence": Mutant(
        _PUBLISHER,
        {"            if self._spool.unread_bytes <= self._tail_bytes:\n                break\n": ""},
        "still",
    ),
}


def found(mutant: Mutant | None) -> str:
    """Return the simulation's output for a copy of the checkout, changed by `mutant`."""
    with tempfile.TemporaryDirectory(prefix="tapline-mutant-") as folder:
        copy = Path(folder)
        for part in _PARTS:
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        if mutant:
            mutate(copy / mutant.path, mutant.changes)
        done = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "--seeds", str(_SEEDS)],
            cwd=copy,
            capture_output=True,
            text=True,
            timeout=_RUN_SECONDS_MAX,
            check=False,
        )
    return done.stdout + done.stderr
