"""A finding of the doctor: the check, its result, and a fix."""

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """The result of a check. Only a fault keeps Tapcart from delivering."""

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
    remedy: str = ""  # for warnings and faults


def ok(check: str, text: str) -> Finding:
    """Return a passed check."""
    return Finding(Level.OK, check, text)


def warning(check: str, text: str, remedy: str) -> Finding:
    """Return a problem that does not keep events from arriving."""
    return Finding(Level.WARNING, check, text, remedy)


def fault(check: str, text: str, remedy: str) -> Finding:
    """Return a problem that keeps events from arriving."""
    return Finding(Level.FAULT, check, text, remedy)


def skipped(check: str, text: str) -> Finding:
    """Return a check that could not be made, with the reason."""
    return Finding(Level.SKIPPED, check, text)
