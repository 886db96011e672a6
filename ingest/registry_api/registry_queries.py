"""Path and body of a registry client's request -> the releases it asks for, or an error. Pure.

Invariant: every query ends in a release or a RegistryError. Source: Confluent Schema Registry's
`VersionId.java`, `Errors.java` and its resources, for valid input, error codes and messages.
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
_DEPTH_MAX = 100  # of a schema's JSON; without a limit, deep nesting could overflow our stack
_READ_ONLY = "read-only here: schemas are released by `python -m schemas add`"


class RegistryError(Exception):
    """An error in the form that Confluent's clients understand."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code, self.message = code, message

    @property
    def status(self) -> int:
        """The HTTP status: the first three digits of the code."""
        return int(str(self.code)[:3])


class _Posted(msgspec.Struct, frozen=True):
    """The body of a POST; other members that clients send are ignored."""

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
    """Return the versions of a subject; version 1 is the first. Raises: RegistryError."""
    if releases := subjects(catalog).get(subject):
        return releases
    raise RegistryError(40401, f"Subject '{subject}' not found.")


def version(catalog: Catalog, subject: str, given: str) -> tuple[int, Release]:
    """Return number and release of a version; `latest` or -1: the newest. Raises: RegistryError."""
    number, releases = _number(given), versions(catalog, subject)
    if number is None:
        return len(releases), releases[-1]
    if number > len(releases):
        raise RegistryError(40402, f"Version {number} not found.")
    return number, releases[number - 1]


def readable(catalog: Catalog, subject: str, given: str) -> tuple[Release, ...]:
    """Return the releases that the next version must be able to read, if any. Raises: RegistryError."""
    number, releases = _number(given), subjects(catalog).get(subject, ())
    if number is None:
        return releases[-1:]
    if number > len(releases):
        raise RegistryError(40402, f"Version {number} not found.")
    return (releases[number - 1],)


def same(releases: Sequence[Release], schema: Any) -> tuple[int, Release]:
    """Return number and release of a schema; member order does not matter. Raises: RegistryError."""
    for number, release in enumerate(releases, 1):
        if release.schema == schema:
            return number, release
    raise RegistryError(_SCHEMA_NOT_FOUND, "Schema not found")


def posted_schema(data: bytes) -> Any:
    """Return the Avro schema, as JSON, in the body of a POST. Raises: RegistryError."""
    try:
        posted = msgspec.json.decode(data, type=_Posted)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RegistryError(400, f"The body is not a schema registry request: {error}") from None
    brackets = (1 if bracket in "[{" else -1 for bracket in re.findall(r"[\[\]{}]", posted.schema))
    if posted.schema_type not in (None, "", "AVRO"):
        raise _invalid(f"its type is {posted.schema_type}, but only AVRO is supported")
    if posted.references:
        raise _invalid("it refers to other schemas, but references are not supported")
    if max(accumulate(brackets), default=0) > _DEPTH_MAX:
        raise _invalid(f"it is nested deeper than {_DEPTH_MAX}")
    try:
        schema = json.loads(posted.schema)
    except ValueError as error:
        raise _invalid(f"not JSON: {error}") from None
    if fault := avro_fault(schema):
        raise _invalid(fault)
    return schema


def problems(older: Sequence[Release], schema: Any) -> list[str]:
    """Return why a reader with `schema` cannot read data of `older`. Raises: RegistryError."""
    try:
        return [problem for one in older for problem in evolution.backward_problems(one.schema, schema)]
    except (AttributeError, LookupError, TypeError, ValueError, RecursionError) as error:
        # fastavro accepts some invalid ones: a number as name, aliases that are not a list.
        raise _invalid(f"not an Avro schema: {error}") from None


def read_only(subject: str | None) -> RegistryError:
    """Build the error for a request that would change something."""
    return RegistryError(42205, f"{f'Subject {subject}' if subject else 'Everything'} is {_READ_ONLY}")


def _number(given: str) -> int | None:
    """Parse a version number; None: the newest."""
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
