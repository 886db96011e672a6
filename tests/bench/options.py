"""What a run of the bench is asked for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Options:
    """How much is measured. A smoke run shows that everything works and stores what it acknowledges."""

    rounds: int = 5
    smoke: bool = False

    @property
    def seconds(self) -> float:
        """How long one figure is measured."""
        return 0.3 if self.smoke else 2.0
