"""What the doctor found: a check, how it went, and how to mend it."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How it went. Only a fault keeps Tapcart from delivering."""

    OK = "ok"
    WARNING = "warning"
    FAULT = "FAULT"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check."""

    level: Level
    check: str
    text: str
    mend: str = ""  # what to do; of warnings and faults


def ok(check: str, text: str) -> Finding:
    """Return that a check went well."""
    return Finding(Level.OK, check, text)


def warning(check: str, text: str, mend: str) -> Finding:
    """Return what is not well, but keeps no event away."""
    return Finding(Level.WARNING, check, text, mend)


def fault(check: str, text: str, mend: str) -> Finding:
    """Return what keeps events away."""
    return Finding(Level.FAULT, check, text, mend)


def skipped(check: str, text: str) -> Finding:
    """Return that a check could not be made, and why."""
    return Finding(Level.SKIPPED, check, text)
