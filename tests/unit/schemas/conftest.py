"""Fixtures of the schemas' tests: the released catalog, compiled once."""

import pytest

from schemas.catalog import Catalog
from schemas.events import EventDecoder


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The released schemas."""
    return Catalog.load()


@pytest.fixture(scope="session")
def decoder(catalog: Catalog) -> EventDecoder:
    """The decoder of the released schemas."""
    return EventDecoder(catalog)
