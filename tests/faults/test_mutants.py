"""The faults harness detects wrong code: each mutant breaks a promise, and the judge names it.

All of them take six minutes: `make faults-mutants`, or TAPLINE_MUTANTS=all. One is always tried.
"""

import os

import pytest

from tests.faults.harness.mutants import MUTANTS, fault_of, run

_NAMES = list(MUTANTS) if os.environ.get("TAPLINE_MUTANTS") == "all" else ["identity_without_app"]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", _NAMES)
def test_a_mutant_is_told(name: str) -> None:
    """The harness fails on the mutant with the right complaint."""
    assert not fault_of(MUTANTS[name], run(MUTANTS[name], mutated=True))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", _NAMES if len(_NAMES) > 1 else [])
def test_the_code_as_it_is_passes_the_same_faults(name: str) -> None:
    """The mutation makes the difference, not the faults."""
    result = run(MUTANTS[name], mutated=False)

    assert result.status == 0, result.said
