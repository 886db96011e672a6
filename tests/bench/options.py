"""The options of a run of the bench."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """The amount of measuring. A smoke run shows that everything works and stores what it acknowledges."""

    rounds: int = 5
    smoke: bool = False

    @property
    def seconds(self) -> float:
        """Duration of the measurement of one figure."""
        return 0.3 if self.smoke else 2.0
