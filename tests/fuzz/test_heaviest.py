"""No body costs ingest much more time than a usual one of its size."""

import pytest

from tests.fuzz.heaviest import SIZES, USUAL, Recipe, Scale, cart, recipes

_EXCESS_MAX = 1.2  # the bound is 1.0, 20 us per KB where a usual event takes as much; the rest is noise
_TRIES_MAX = 1500  # 10 s; a busy machine slows many of them, never all of one body's
_X = '{"event_type":"X","event_id":"e","app_id":"a","timestamp":1'
_CART, _END = cart("")
_KNOWN = [
    Recipe(
        '{"event_type":"X","event_id":"e","app_id":"a","timestamp":1,"event_properties":{"z":[',
        "1e308,",
        "1]}}",
    ),
    Recipe(f"{_X},", '"#":1,', '"z":1}'),
    Recipe(f'{_X},"z":[', "[],", "1]}"),
    Recipe(f"{_CART}:[", '"",', '""]}}'),
]


@pytest.fixture(scope="module")
def scale() -> Scale:
    """One for all tests, with one usual body."""
    return Scale()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("recipe", [*_KNOWN, *recipes()], ids=lambda recipe: recipe.unit[:20])
def test_the_heaviest_bodies_cost_little_more_than_usual_ones(
    scale: Scale, recipe: Recipe, size: int
) -> None:
    """The bodies of the corpus, which a search found: the time is bounded by the size, whatever is sent."""
    assert scale.excess(recipe, size, _TRIES_MAX, _EXCESS_MAX) < _EXCESS_MAX


def test_a_recipe_grows() -> None:
    """To any size, with members of different names."""
    for size in SIZES:
        assert size * 0.9 < len(USUAL.body(size)) < size * 1.1
    assert USUAL.body(4_096).count(b'"property_1"') == 1
