"""Ways to be wrong that the simulation must find, each a change of text in a copy of the checkout."""

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.faults.harness.mutants import mutate
from tests.stack import ROOT

_PARTS = ("schemas", "ingest", "tests")
_SEEDS = 2000
_RUN_SECONDS_MAX = 240.0


@dataclass(frozen=True, slots=True)
class Mutant:
    """One way to be wrong."""

    path: str
    changes: Mapping[str, str]  # text -> what it becomes
    complaint: str  # regular expression


_PUBLISHER, _TAIL = "ingest/delivery/publisher.py", "ingest/delivery/tail.py"
_SPOOL, _WRITER = "ingest/delivery/spool.py", "ingest/delivery/segment_writer.py"
_HAND_OVER = "ingest/delivery/hand_over.py"
_LOST, _ORDER = "acknowledged and is lost|its file is removed", "precedes what was acknowledged before it"

MUTANTS: Mapping[str, Mutant] = {
    "catching_up_forgets_order": Mutant(
        _TAIL,
        {" if self._is_handed_over else await self._hold(record)": ""},
        _ORDER,
    ),
    "an_arrival_is_acknowledged_before_the_tail": Mutant(
        _TAIL, {"if not await asyncio.shield(self._ended):": "if False:"}, _ORDER
    ),
    "refused_record_dropped": Mutant(
        _HAND_OVER,
        {"            await self._rescue.refused(frame.record, str(outcome))": "            pass"},
        _LOST,
    ),
    "refused_record_of_the_quarantine_dropped": Mutant(
        "ingest/delivery/rescue.py",
        {"await self._set_aside.keep(segment.frame(record), record.timestamp_ms)": "pass"},
        "is not synced",
    ),
    "a_refusal_in_the_tail_is_no_failure": Mutant(
        _HAND_OVER, {"        return refused is None\n": "        return True\n"}, _ORDER
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
    "direct_before_the_tail_is_acknowledged": Mutant(
        _PUBLISHER,
        {
            "        tail.handed_over()\n": "        tail.handed_over()\n        self._go(Event.CAUGHT_UP)\n",
            "        self._go(Event.CAUGHT_UP)\n        tail.ack": "        tail.ack",
        },
        ".+",
    ),
    "what_was_given_up_stays_in_memory": Mutant(
        _SPOOL, {"if self._waiting.pop(number, None):": "if False:"}, "wait for the disk"
    ),
    "catching_up_waits_for_silence": Mutant(
        _PUBLISHER,
        {"            if self._spool.unread_bytes <= _TAIL_BYTES_MAX:\n                break\n": ""},
        "still",
    ),
}


def found(mutant: Mutant | None) -> str:
    """Return what the simulation says of a copy of the checkout, changed by `mutant`."""
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
