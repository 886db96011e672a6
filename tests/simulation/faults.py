"""A fault of the script -> the state of Kafka and of the disk, and back."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.simulation import fake_disk, fake_kafka
from tests.simulation.fake_disk import Platters
from tests.simulation.fake_kafka import Kafka
from tests.simulation.script import Fault, Script

_HANG_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class _Change:
    weather: str  # the affected part: "kafka" or "disk"
    field: str
    value: Callable[[float], object]  # of the fault's strength


_CHANGES = {
    "kafka loses records": _Change("kafka", "lost", float),
    "kafka loses reports": _Change("kafka", "unreported", float),
    "kafka reports errors": _Change("kafka", "failed", float),
    "kafka is slow": _Change("kafka", "seconds", float),
    "kafka refuses the quarantine": _Change("kafka", "refuses_quarantine", bool),
    "topics do not answer": _Change("kafka", "answers", lambda _: False),
    "disk is slow": _Change("disk", "seconds", lambda strength: strength / 2),
    "disk hangs": _Change("disk", "seconds", lambda _: _HANG_SECONDS),
    "disk errs": _Change("disk", "error", lambda strength: strength / 2),
    "disk is full": _Change("disk", "full", bool),
}


class Climate:
    """The state of Kafka and of the disk, which faults change."""

    def __init__(self, script: Script, kafka: Kafka, platters: Platters) -> None:
        self._kafka = kafka
        self._weather = {"kafka": kafka.weather, "disk": platters.weather}
        self._healthy = {
            "kafka": fake_kafka.Weather(seconds=script.report_seconds),
            "disk": fake_disk.Weather(seconds=script.fsync_seconds),
        }
        for name in self._weather:
            self._set(name, "seconds")

    def begin(self, fault: Fault) -> None:
        """Begin a fault."""
        if fault.kind == "kafka hangs":
            self._kafka.hang()
        elif change := _CHANGES.get(fault.kind):
            setattr(self._weather[change.weather], change.field, change.value(fault.strength))

    def end(self, fault: Fault) -> None:
        """End a fault."""
        if fault.kind == "kafka hangs":
            self._kafka.resume()
        elif change := _CHANGES.get(fault.kind):
            self._set(change.weather, change.field)

    def _set(self, weather: str, field: str) -> None:
        setattr(self._weather[weather], field, getattr(self._healthy[weather], field))
