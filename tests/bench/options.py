"""The options of a run of the bench."""

from dataclasses import dataclass
from typing import TypeVar

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Options:
    """The amount of measuring.

    A smoke run shows that everything works and stores what it acknowledges. A long run has the full amounts,
    takes hours, and measures what has no goal as well.
    """

    rounds: int = 3
    smoke: bool = False
    long: bool = False

    @property
    def seconds(self) -> float:
        """Duration of the measurement of one figure."""
        return self.pick(0.3, 0.5, 2.0)

    @property
    def warm(self) -> bool:
        """Whether programs are used for a while before they are measured."""
        return not self.smoke

    def pick(self, smoke: _T, usual: _T, long: _T) -> _T:
        """Return the amount for this kind of run."""
        if self.smoke:
            return smoke
        return long if self.long else usual
