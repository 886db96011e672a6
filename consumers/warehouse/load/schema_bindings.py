"""The catalog in use -> what the loader makes of it: formats, checks, tables; then of the next one.

Invariants: the three are of one catalog and replaced together; who holds older ones may go on using them, for
releases only get more. One thread calls `take_up`, any may read `bindings`.
"""

from dataclasses import dataclass

from consumers.warehouse import tables
from consumers.warehouse.load.batch import Formats
from consumers.warehouse.load.container import format_of
from consumers.warehouse.load.revalidation import Revalidation
from consumers.warehouse.metrics import Metrics
from consumers.warehouse.tables import Table
from schemas.catalog.catalog import Catalog
from schemas.catalog.schema_reloader import SchemaReloader


@dataclass(frozen=True, slots=True)
class SchemaBindings:
    """What the loader makes of one catalog."""

    formats: Formats
    check: Revalidation
    tables: tuple[Table, ...]


class CurrentBindings:
    """The bindings in use."""

    def __init__(self, current: SchemaReloader, metrics: Metrics) -> None:
        self._current = current
        self._metrics = metrics
        current.on_refused = metrics.schemas_refused.inc
        self._of = current.catalog
        self.bindings = bindings_of(self._of)
        metrics.schemas.set(len(current.catalog.releases))

    @property
    def catalog(self) -> Catalog:
        """The catalog that the bindings are of."""
        return self._current.catalog

    @property
    def changed(self) -> bool:
        """Whether there is something to take up."""
        return self._current.changed

    def take_up(self) -> bool:
        """Return whether the bindings are other ones now."""
        self._current.take_up()
        if self._of is self._current.catalog:  # who refuses records may have looked before us
            return False
        self._of = self._current.catalog
        self.bindings = bindings_of(self._of)
        self._metrics.schemas.set(len(self._of.releases))
        return True


def bindings_of(catalog: Catalog) -> SchemaBindings:
    """Return the bindings of a catalog."""
    forms = [format_of(release) for release in catalog.releases]
    return SchemaBindings(Formats(forms), Revalidation(catalog, forms), tables.tables(catalog))
