"""Fixtures for the tests of schemas: the released catalog, compiled once."""

from pathlib import Path

import pytest

from schemas.catalog.catalog import Catalog
from schemas.codec.events import EventDecoder
from tests.unit.schemas.tree import Tree


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    """The released schemas."""
    return Catalog.load()


@pytest.fixture(scope="session")
def decoder(catalog: Catalog) -> EventDecoder:
    """The decoder of the released schemas."""
    return EventDecoder(catalog)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """A copy of the released schemas."""
    return Tree(tmp_path / "schemas")
