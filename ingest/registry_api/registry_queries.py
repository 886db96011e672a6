"""What a schema registry's client asks for, by path and body -> the releases it means, or the error. Pure.

Invariant: whatever is asked, the answer is a release or a RegistryError. Source: Confluent Schema Registry's
`VersionId.java`, `Errors.java` and its resources: what is valid, error codes and their words.
"""

import json
import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import msgspec

from schemas.catalog import evolution
from schemas.catalog.catalog import Catalog, Release, avro_fault
from schemas.catalog.subjects import subjects

INVALID_SCHEMA, _SCHEMA_NOT_FOUND = 42201, 40403
_VERSION_MAX = 2**31 - 1  # Confluent's bound
_DEPTH_MAX = 100  # of a schema's JSON; one without bound could end our stack
_READ_ONLY = "read-only here: schemas are released by `python -m schemas add`"


class RegistryError(Exception):
    """An error as Confluent's clients understand it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code, self.message = code, message

    @property
    def status(self) -> int:
        """Return the HTTP status: the first three digits of the code."""
        return int(str(self.code)[:3])


class _Posted(msgspec.Struct, frozen=True):
    """The body of a POST; members that clients send besides mean nothing here."""

    schema: str = ""
    schema_type: str | None = msgspec.field(default=None, name="schemaType")
    references: list[Any] | None = None


def with_id(catalog: Catalog, given: str) -> Release:
    """Return the release with a wire id. Raises: RegistryError."""
    if not re.fullmatch("[0-9]{1,10}", given):
        raise RegistryError(404, "HTTP 404 Not Found")
    if release := catalog.by_wire_id(int(given)):
        return release
    raise RegistryError(_SCHEMA_NOT_FOUND, f"Schema {given} not found")


def versions(catalog: Catalog, subject: str) -> tuple[Release, ...]:
    """Return the versions of a subject, the first of which is 1. Raises: RegistryError."""
    if releases := subjects(catalog).get(subject):
        return releases
    raise RegistryError(40401, f"Subject '{subject}' not found.")


def version(catalog: Catalog, subject: str, given: str) -> tuple[int, Release]:
    """Return number and release of a version, or of the newest (`latest`, -1). Raises: RegistryError."""
    number, releases = _number(given), versions(catalog, subject)
    if number is None:
        return len(releases), releases[-1]
    if number > len(releases):
        raise RegistryError(40402, f"Version {number} not found.")
    return number, releases[number - 1]


def readable(catalog: Catalog, subject: str, given: str) -> tuple[Release, ...]:
    """Return what a next version must be able to read: nothing if there is none. Raises: RegistryError."""
    number, releases = _number(given), subjects(catalog).get(subject, ())
    if number is None:
        return releases[-1:]
    if number > len(releases):
        raise RegistryError(40402, f"Version {number} not found.")
    return (releases[number - 1],)


def same(releases: Sequence[Release], schema: Any) -> tuple[int, Release]:
    """Return number and release of a schema; the order of its members may differ. Raises: RegistryError."""
    for number, release in enumerate(releases, 1):
        if release.schema == schema:
            return number, release
    raise RegistryError(_SCHEMA_NOT_FOUND, "Schema not found")


def posted_schema(data: bytes) -> Any:
    """Return the Avro schema, as JSON, in the body of a POST. Raises: RegistryError."""
    try:
        posted = msgspec.json.decode(data, type=_Posted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RegistryError(400, f"The body is no request of a schema registry's client: {error}") from None
    brackets = (1 if bracket in "[{" else -1 for bracket in re.findall(r"[\[\]{}]", posted.schema))
    if posted.schema_type not in (None, "", "AVRO"):
        raise _invalid(f"its type is {posted.schema_type}, and here are only AVRO schemas")
    if posted.references:
        raise _invalid("it refers to other schemas, and here are no references")
    if max(accumulate(brackets), default=0) > _DEPTH_MAX:
        raise _invalid(f"it is nested deeper than {_DEPTH_MAX}")
    try:
        schema = json.loads(posted.schema)
    except ValueError as error:
        raise _invalid(f"no JSON: {error}") from None
    if fault := avro_fault(schema):
        raise _invalid(fault)
    return schema


def problems(older: Sequence[Release], schema: Any) -> list[str]:
    """Return why a reader with `schema` cannot read data of `older`. Raises: RegistryError."""
    try:
        return [problem for one in older for problem in evolution.backward_problems(one.schema, schema)]
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        # fastavro takes some that are none: a name that is a number, aliases that are no list.
        raise _invalid(f"no Avro schema: {error}") from None


def read_only(subject: str | None) -> RegistryError:
    """Return the answer to what would change something."""
    return RegistryError(42205, f"{f'Subject {subject}' if subject else 'Everything'} is {_READ_ONLY}")


def _number(given: str) -> int | None:
    """Return the number of a version; None for the newest."""
    text = given.strip().lower()
    if text in ("latest", "-1"):
        return None
    if re.fullmatch("[0-9]{1,10}", text) and 0 < int(text) <= _VERSION_MAX:
        return int(text)
    raise RegistryError(
        42202,
        f"The specified version '{given}' is not a valid version id. "
        'Allowed values are between [1, 2^31-1] and the string "latest"',
    )


def _invalid(fault: str) -> RegistryError:
    return RegistryError(INVALID_SCHEMA, f"Invalid schema: {fault}")
