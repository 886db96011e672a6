"""The schema registry at SCHEMA_REGISTRY_URL -> a catalog with its ids, registered or looked up there.

Invariants: only ingest registers schemas. A known id stays valid, because a registry never gives it to
another schema. A late or refused answer changes nothing. Source: Confluent Schema Registry's API reference.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka.schema_registry import Schema, SchemaRegistryError
from confluent_kafka.schema_registry.error import OAuthTokenError
from httpx2 import HTTPError

from runtime.kafka.registry_client import client
from runtime.retry import retrying
from schemas.catalog.add import write
from schemas.catalog.catalog import Catalog, CatalogError
from schemas.catalog.subjects import subject_of

_LOG = logging.getLogger(__name__)
_NAME = "SCHEMA_REGISTRY_URL"
# When ingest starts and needs ids: longer than a registry takes to restart.
_START_SECONDS_MAX = 30.0
_RETRY_SECONDS_MAX = 2.0
_NOT_FOUND = frozenset({40401, 40403})
_STATUS_REFUSED = range(400, 500)
_STATUS_BUSY = 429
_ID_END = 2**31  # Java's; an id before a value has 4 bytes
# The client raises these for answers of other servers: JSON of another shape, or none.
_NONSENSE = (ValueError, TypeError, AttributeError, LookupError)

logging.getLogger("httpx2").setLevel(logging.WARNING)  # it logs each URL, including the password


class RegistryAwayError(CatalogError):
    """The registry does not answer, or not like a registry. The same call may succeed later."""


class SchemaRegistry:
    """One registry. Each method can adopt catalogs (see `SchemaReloader`), one at a time."""

    def __init__(self, properties: Mapping[str, str], memory: Path | None = None) -> None:
        """`memory`: a file that stores the ids, so that a start works without the registry."""
        self._client = client(properties)
        # Another registry's ids are invalid here.
        self._key = hashlib.sha256(properties["url"].rpartition("@")[2].encode()).hexdigest()
        self._memory = memory
        self._ids: dict[str, int] = {}  # schema_id -> id at the registry

    def register_at_start(self, catalog: Catalog) -> Catalog:
        """Register every release; return the catalog with the registry's ids. Raises: CatalogError.

        If the registry fails, continue with stored ids, and with the releases that have one. Without
        stored ids, wait for the registry first.
        """
        stored = self._remembered()
        retry = retrying(
            RegistryAwayError, _RETRY_SECONDS_MAX, seconds_max=0 if stored else _START_SECONDS_MAX
        )
        try:
            return retry(self.register, catalog)
        except CatalogError as error:
            self._ids = stored | self._ids
            known = tuple(release for release in catalog.releases if release.schema_id in self._ids)
            ours = (catalog.unmodelled, catalog.quarantine, catalog.clickstream)
            if not stored or any(release not in known for release in ours):
                raise
            _LOG.warning("schema_registry_ids_remembered", extra={"problems": str(error).splitlines()})
            return self._numbered(Catalog(known))

    def register(self, catalog: Catalog) -> Catalog:
        """Register every release; return the catalog with the registry's ids. Raises: CatalogError."""
        self._learn(catalog, self._client.register_schema)
        self._remember()
        return self._numbered(catalog)

    def look_up(self, catalog: Catalog) -> Catalog:
        """Return the catalog with the registry's ids, as far as it has them. Raises: CatalogError."""
        self._learn(catalog, self._client.lookup_schema)
        return self._numbered(catalog)

    def look_up_at_start(self, catalog: Catalog) -> Catalog:
        """Do the same; if the registry fails, log it and continue without its ids."""
        try:
            return self.look_up(catalog)
        except CatalogError as error:
            _LOG.warning("schema_registry_not_asked", extra={"problems": str(error).splitlines()})
            return self._numbered(catalog)

    def look_up_if_it_answers(self, catalog: Catalog) -> Catalog:
        """Do the same as `look_up`; if the registry fails, continue with the ids known so far."""
        try:
            return self.look_up(catalog)
        except CatalogError:
            return self._numbered(catalog)

    def _learn(self, catalog: Catalog, ask: Callable[[str, Schema], Any]) -> None:
        for release in catalog.releases:
            if release.schema_id in self._ids:
                continue
            subject = subject_of(release)
            found = self._asked(ask, subject, Schema(release.text, "AVRO"))
            if found is not None:
                self._ids[release.schema_id] = self._sound(subject, found)

    def _asked(self, ask: Callable[[str, Schema], Any], subject: str, schema: Schema) -> Any:
        """Return the registry's id, or None if it does not have the schema."""
        try:
            answer = ask(subject, schema)
        except SchemaRegistryError as error:
            if error.error_code in _NOT_FOUND:
                return None
            said = f"{_NAME}: the registry answers to {subject}: {error}"
            is_refused = error.http_status_code in _STATUS_REFUSED and error.http_status_code != _STATUS_BUSY
            raise CatalogError(said) if is_refused else RegistryAwayError(said) from error
        except (HTTPError, OAuthTokenError) as error:
            said = f"{_NAME}: the registry does not answer: {type(error).__name__}: {error}"
            raise RegistryAwayError(said) from error
        except _NONSENSE as error:
            said = f"{_NAME}: the server is not a schema registry: {type(error).__name__}: {error}"
            raise RegistryAwayError(said) from error
        return getattr(answer, "schema_id", answer) or 0

    def _sound(self, subject: str, found: Any) -> int:
        if type(found) is int and 0 < found < _ID_END and found not in self._ids.values():
            return found
        self._client.clear_caches()  # type: ignore[no-untyped-call]
        known = " again" if found in self._ids.values() else ""
        raise RegistryAwayError(f"{_NAME}: the registry gives {subject}{known} the id {found!r}"[:500])

    def _numbered(self, catalog: Catalog) -> Catalog:
        known = (release for release in catalog.releases if release.schema_id in self._ids)
        return Catalog(catalog.releases, {one.wire_id: self._ids[one.schema_id] for one in known})

    def _remembered(self) -> dict[str, int]:
        try:
            data = self._memory.read_bytes() if self._memory else b"{}"
            return msgspec.json.decode(data, type=dict[str, dict[str, int]]).get(self._key, {})
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return {}

    def _remember(self) -> None:
        if self._memory is None or self._remembered() == self._ids:
            return
        try:
            write(self._memory, msgspec.json.encode({self._key: self._ids}))
        except OSError as error:
            _LOG.warning("schema_registry_ids_not_kept", extra={"detail": error.strerror})
