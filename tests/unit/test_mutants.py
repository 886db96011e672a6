"""Every mutant still changes a text of today's code: a renamed line does not go unnoticed until they run."""

import re
from collections.abc import Mapping

import pytest

from tests.faults.harness.mutants import MUTANTS as OF_THE_STACK
from tests.simulation.mutants import MUTANTS as OF_THE_SIMULATION
from tests.support.stack import ROOT

_CHANGES = [
    *((name, mutant.path, mutant.changes) for name, mutant in OF_THE_STACK.items()),
    *((name, mutant.path, mutant.changes) for name, mutant in OF_THE_SIMULATION.items()),
]


@pytest.mark.parametrize(("name", "path", "changes"), _CHANGES)
def test_a_mutants_text_is_there_once(name: str, path: str, changes: Mapping[str, str]) -> None:
    """`mutate` refuses it otherwise, minutes into a run."""
    text = (ROOT / path).read_text()

    assert all(len(re.findall(re.escape(old), text)) == 1 for old in changes), name
