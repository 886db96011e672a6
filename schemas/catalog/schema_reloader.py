"""The folder of released schemas, checked repeatedly -> the catalog in use, without a restart.

Invariants: a check costs one `stat` while nothing has changed. A failed reload keeps the old catalog, and the
next check retries. A catalog only grows: one that lacks or changes a release in use is refused, because its
id is in Kafka.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.waiting import wait_until
from schemas.catalog.catalog import HERE, Catalog, CatalogError

if TYPE_CHECKING:
    from schemas.catalog.registry_client import SchemaRegistry

_log = logging.getLogger(__name__)

CHECK_SECONDS = 1.0  # how soon every process uses a release of `python -m schemas add`
_WAIT_SECONDS = 0.2  # between two checks while somebody waits
_RELOAD_SHARE_MAX = 0.02  # of the time of loops that reload between other work


def _as_it_is(catalog: Catalog) -> Catalog:
    return catalog


class SchemaReloader:
    """The catalog of one process. Thread-safe.

    `adopt` gets each loaded catalog and returns the one to use instead, or raises CatalogError; `adopt_first`
    does so for the first one, if given. A catalog without all releases, or without all ids of a registry, is
    checked again.
    """

    def __init__(
        self,
        root: Path = HERE,
        adopt: Callable[[Catalog], Catalog] = _as_it_is,
        adopt_first: Callable[[Catalog], Catalog] | None = None,
    ) -> None:
        self._root = root
        self._adopt = adopt
        self._loading = threading.Lock()
        self._seen = self._state()  # taken before loading
        self._loaded = Catalog.load(root)
        self.catalog = (adopt_first or adopt)(self._loaded)  # replaced as a whole, never changed
        self.on_refused: Callable[[], object] = lambda: None  # called after each failed reload
        self._checked_at = time.monotonic()
        self._reload_seconds = 0.0  # taken by the last reload
        self._refused = ""

    @property
    def changed(self) -> bool:
        """Whether a reload may find a change: of the files, or ids that a registry did not have before."""
        return self._state() != self._seen or not self._is_complete

    @property
    def is_due(self) -> bool:
        """Whether the last check is long enough ago: for loops that reload between other work.

        A registry that hangs takes a small share of their time.
        """
        pause = max(CHECK_SECONDS, self._reload_seconds / _RELOAD_SHARE_MAX)
        return time.monotonic() - self._checked_at >= pause

    def reload(self) -> bool:
        """Reload the files; return whether `catalog` has changed. Raises: CatalogError."""
        with self._loading:
            began = time.monotonic()
            try:
                return self._reload()
            finally:
                self._checked_at = time.monotonic()
                self._reload_seconds = self._checked_at - began

    def try_reload(self) -> bool:
        """Reload; return whether `catalog` has changed. A failure is counted, and logged once."""
        try:
            is_newer = self.reload()
        except CatalogError as error:
            self.on_refused()
            before, self._refused = self._refused, str(error)
            if before != self._refused:
                _log.error("schemas_refused", extra={"problems": self._refused.splitlines()})
            return False
        self._refused = ""
        if is_newer:
            _log.info("schemas_taken_up", extra={"releases": len(self.catalog.releases)})
        return is_newer

    async def watch(self, on_change: Callable[[], object] = lambda: None) -> None:
        """Reload repeatedly, until cancelled; `on_change` is called in a thread after each change."""

        def reload() -> None:
            if self.try_reload():
                on_change()

        while True:
            await asyncio.sleep(CHECK_SECONDS)
            await asyncio.to_thread(reload)

    def wait_for(
        self, is_known: Callable[[Catalog], bool], seconds_max: float, stopping: threading.Event
    ) -> bool:
        """Reload until `is_known` holds for `catalog`; return whether it does within the time."""

        def is_there() -> bool:
            if not is_known(self.catalog):
                self.try_reload()
            return is_known(self.catalog)

        return wait_until(is_there, seconds_max, _WAIT_SECONDS, stopping)

    def _reload(self) -> bool:
        state, before = self._state(), self.catalog
        if state == self._seen and self._is_complete:
            return False
        loaded = self._loaded
        if state != self._seen:
            loaded = Catalog.load(self._root)
            _check_that_it_grows(self._loaded, loaded)
        after = self._adopt(loaded)
        self._seen, self._loaded = state, loaded
        if (after.releases, after.ids) == (before.releases, before.ids):
            return False
        self.catalog = after
        return True

    @property
    def _is_complete(self) -> bool:
        return self.catalog.is_complete and len(self.catalog.releases) == len(self._loaded.releases)

    def _state(self) -> tuple[int, int, int] | None:
        try:
            found = (self._root / "registry.json").stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


def registering_reloader(root: Path, properties: Mapping[str, str], memory: Path) -> SchemaReloader:
    """Return the reloader of ingest; with `properties` of a registry it registers every release there.

    `memory`: file that stores the registry's ids. Raises: CatalogError.
    """
    if not properties:
        return SchemaReloader(root)
    registry = _registry(properties, memory)
    return SchemaReloader(root, registry.register, registry.register_at_start)


def strict_reloader(root: Path, properties: Mapping[str, str]) -> SchemaReloader:
    """Return a reloader that, with `properties` of a registry, knows the ids that ingest got there.

    Raises: CatalogError, also if the registry does not answer.
    """
    return SchemaReloader(root, _registry(properties).look_up) if properties else SchemaReloader(root)


def lenient_reloader(root: Path, properties: Mapping[str, str]) -> SchemaReloader:
    """Return a reloader that also works while the registry does not answer. Raises: CatalogError."""
    if not properties:
        return SchemaReloader(root)
    registry = _registry(properties)
    return SchemaReloader(root, registry.look_up_if_it_answers, registry.look_up_at_start)


def _check_that_it_grows(before: Catalog, after: Catalog) -> None:
    gone = [old.schema_id for old in before.releases if after.by_wire_id(old.wire_id) != old]
    if gone:
        raise CatalogError(
            f"registry.json: {', '.join(gone)}: in use, but removed or changed; releases can only be added"
        )


def _registry(properties: Mapping[str, str], memory: Path | None = None) -> "SchemaRegistry":
    from schemas.catalog.registry_client import SchemaRegistry  # noqa: PLC0415 - 15 MB and 0.1 s for those who have one

    return SchemaRegistry(properties, memory)
