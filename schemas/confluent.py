"""The schema registry at SCHEMA_REGISTRY_URL -> a catalog by its ids, registered there or looked up.

Invariants: nothing but ingest registers. An id that was learnt stays right: a registry never gives it to
another schema. What is not answered in time, or refused, leaves everything as it was. The one module that
knows Confluent's client. Source: Confluent Schema Registry's API reference.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient, SchemaRegistryError
from httpx2 import HTTPError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from schemas.catalog import Catalog, CatalogError, Release
from schemas.environment import SettingsError
from schemas.subjects import subject_of

_LOG = logging.getLogger(__name__)
_NAME = "SCHEMA_REGISTRY_URL"
_REQUEST_SECONDS_MAX = 5.0
# At start: longer than a registry or, for those that look up, ingest takes to restart. Later looks come by
# themselves.
_START_SECONDS_MAX = 30.0
_RETRY_SECONDS_MAX = 2.0
_NOT_FOUND = frozenset({40401, 40403})
_STATUS_REFUSED = range(400, 500)
_STATUS_BUSY = 429

_T = TypeVar("_T")


class RegistryAwayError(CatalogError):
    """The registry does not answer, or has nothing of ours yet. The same call may succeed later."""


class SchemaRegistry:
    """One registry. Each method is a way to adopt catalogs (see `Current`): one at a time."""

    def __init__(self, properties: Mapping[str, str], memory: Path | None = None) -> None:
        """`memory`: a file for the ids, by which a start does without the registry. Raises: SettingsError."""
        try:
            self._client = SchemaRegistryClient(
                {**properties, "max.retries": 0, "timeout": _REQUEST_SECONDS_MAX}
            )
        except (ValueError, TypeError, OSError) as error:
            raise SettingsError(f"SCHEMA_REGISTRY_*: {error}") from None
        # Another registry's ids mean nothing here.
        self._key = hashlib.sha256(properties["url"].rpartition("@")[2].encode()).hexdigest()
        self._memory = memory
        self._ids: dict[str, int] = {}  # schema_id -> the registry's
        self._patience_seconds = _START_SECONDS_MAX

    def register(self, catalog: Catalog) -> Catalog:
        """Return the catalog by the registry's ids, every release registered. Raises: CatalogError."""
        try:
            self._patiently(self._register, catalog)
        except CatalogError as error:
            self._ids = self._remembered() | self._ids
            if any(release.schema_id not in self._ids for release in catalog.releases):
                raise
            _LOG.warning("schema_registry_ids_remembered", extra={"detail": str(error)})
        return self._numbered(catalog)

    def look_up(self, catalog: Catalog) -> Catalog:
        """Return the catalog by the registry's ids, as far as it has them. Raises: CatalogError."""
        self._patiently(self._look_up, catalog)
        return self._numbered(catalog)

    def _patiently(self, call: Callable[[Catalog], None], catalog: Catalog) -> None:
        again = Retrying(
            retry=retry_if_exception_type(RegistryAwayError),
            wait=wait_random_exponential(0.1, _RETRY_SECONDS_MAX),
            stop=stop_after_delay(self._patience_seconds),
            reraise=True,
        )
        again(call, catalog)
        self._patience_seconds = 0.0

    def _register(self, catalog: Catalog) -> None:
        for release in catalog.releases:
            if release.schema_id not in self._ids:
                self._ids[release.schema_id] = self._asked(self._client.register_schema, catalog, release)
        self._remember()

    def _look_up(self, catalog: Catalog) -> None:
        for release in catalog.releases:
            if release.schema_id not in self._ids:
                try:
                    found = self._asked(self._client.lookup_schema, catalog, release)
                except _UnknownError:
                    continue
                self._ids[release.schema_id] = found.schema_id or 0
        if catalog.quarantine.schema_id not in self._ids:
            # What a loader must be able to write. ingest registers all it has at once.
            subject = subject_of(catalog, catalog.quarantine)
            raise RegistryAwayError(f"{_NAME}: the registry has no {subject}, which ingest registers")

    def _asked(self, ask: Callable[[str, Schema], _T], catalog: Catalog, release: Release) -> _T:
        subject = subject_of(catalog, release)
        try:
            return ask(subject, Schema(release.text, "AVRO"))
        except SchemaRegistryError as error:
            said = f"{_NAME}: the registry answers to {subject}: {error}"
            if error.error_code in _NOT_FOUND:
                raise _UnknownError(said) from error
            is_refused = error.http_status_code in _STATUS_REFUSED and error.http_status_code != _STATUS_BUSY
            raise CatalogError(said) if is_refused else RegistryAwayError(said) from error
        except (HTTPError, ValueError) as error:  # no answer, or one that is no registry's
            said = f"{_NAME}: the registry does not answer: {type(error).__name__}: {error}"
            raise RegistryAwayError(said) from error

    def _numbered(self, catalog: Catalog) -> Catalog:
        return catalog.with_wire_ids(
            {
                release.wire_id: self._ids[release.schema_id]
                for release in catalog.releases
                if release.schema_id in self._ids
            }
        )

    def _remembered(self) -> dict[str, int]:
        try:
            found = json.loads(self._memory.read_bytes()) if self._memory else {}
        except (OSError, ValueError):
            return {}
        ids: dict[str, int] = found.get(self._key, {})
        return ids

    def _remember(self) -> None:
        if self._memory is None or self._remembered() == self._ids:
            return
        try:
            self._memory.parent.mkdir(parents=True, exist_ok=True)
            new = self._memory.with_suffix(".new")
            new.write_text(json.dumps({self._key: self._ids}))
            new.replace(self._memory)
        except OSError as error:
            _LOG.warning("schema_registry_ids_not_kept", extra={"detail": error.strerror})


class _UnknownError(CatalogError):
    """The registry does not have the schema."""
