"""Invented schema ids delay nobody for long."""

from consumers.kit.schema_patience import SchemaPatience


class Clock:
    """A time that passes only when told."""

    now = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_an_id_is_waited_for_once() -> None:
    """Also long after."""
    clock = Clock()
    patience = SchemaPatience(15.0, clock)
    assert patience.seconds_for({19, 20}) == 15.0
    patience.waited_in_vain({20})
    clock.now += 10_000

    assert patience.seconds_for({20}) == 0.0
    assert patience.seconds_for({19, 20}) == 15.0


def test_a_producer_that_invents_ids_takes_a_twentieth_of_the_time() -> None:
    """Once, each new id cost a whole wait, and everything behind it stood still."""
    clock = Clock()
    patience = SchemaPatience(15.0, clock)
    began, waited = clock.now, 0.0
    for wire_id in range(10_000):
        seconds = patience.seconds_for({wire_id})
        if seconds:
            clock.now += seconds
            waited += seconds
            patience.waited_in_vain({wire_id})
        clock.now += 0.5  # a batch

    assert waited / (clock.now - began) < 0.05
    assert waited >= 2 * 15.0


def test_a_release_after_a_rest_is_waited_for_again() -> None:
    """And one that came in time has no consequence."""
    clock = Clock()
    patience = SchemaPatience(15.0, clock)
    patience.waited_in_vain({40})
    assert patience.seconds_for({19}) == 0.0
    clock.now += 20 * 15.0

    assert patience.seconds_for({19}) == 15.0
