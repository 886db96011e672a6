"""The catalog in use -> the loader's formats, checks and tables, rebuilt for each new catalog.

Invariants: the three belong to one catalog and are replaced together; older ones stay usable, because
releases are only added. One thread calls `reload`; any may read `bindings`.
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
    """The loader's objects for one catalog."""

    formats: Formats
    check: Revalidation
    tables: tuple[Table, ...]


class CurrentBindings:
    """The bindings in use."""

    def __init__(self, reloader: SchemaReloader, metrics: Metrics) -> None:
        self._reloader = reloader
        self._metrics = metrics
        reloader.on_refused = metrics.schemas_refused.inc
        self._of = reloader.catalog
        self.bindings = bindings_of(self._of)
        metrics.schemas.set(len(reloader.catalog.releases))

    @property
    def catalog(self) -> Catalog:
        """The catalog of the bindings."""
        return self._reloader.catalog

    @property
    def is_due(self) -> bool:
        """Whether the last check for changes is long enough ago."""
        return self._reloader.is_due

    @property
    def changed(self) -> bool:
        """Whether a reload may find a change."""
        return self._reloader.changed

    def reload(self) -> bool:
        """Reload the schemas; return whether the bindings have changed."""
        self._reloader.try_reload()
        if self._of is self._reloader.catalog:  # another user of the reloader may have reloaded first
            return False
        self._of = self._reloader.catalog
        self.bindings = bindings_of(self._of)
        self._metrics.schemas.set(len(self._of.releases))
        return True


def bindings_of(catalog: Catalog) -> SchemaBindings:
    """Build the bindings of a catalog."""
    forms = [format_of(release) for release in catalog.releases]
    return SchemaBindings(Formats(forms), Revalidation(catalog, forms), tables.tables(catalog))
