"""A catalog -> one HTML page that documents every event type with its fields and columns.

Invariants: the page depends only on the catalog, so a committed page can be kept current; one field per line,
for readable diffs; all text is escaped, because some comes from outside. It needs no script.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runtime import html
from schemas.catalog import columns, schema_model, version
from schemas.catalog.catalog import Catalog, Release
from schemas.catalog.columns import Column
from schemas.catalog.table_names import table_name

FILE = "schemas.html"  # in a folder of schemas

_TEMPLATE = html.template(Path(__file__).with_name("page.html.jinja"))


@dataclass(frozen=True, slots=True)
class FieldLine:
    """A field, as the page shows it."""

    path: str
    sent: str  # its kind, and the member that it is sent as
    columns: Sequence[Column]
    doc: str


@dataclass(frozen=True, slots=True)
class SchemaSection:
    """A schema, as the page shows it."""

    name: str
    doc: str
    view: str
    releases: Sequence[Release]
    fields: Sequence[FieldLine]


def page(catalog: Catalog) -> str:
    """Build the page."""
    shared = version.described(catalog.unmodelled.schema)
    own = [field.name for field in schema_model.fields(catalog.unmodelled.schema) if field.is_json]
    every = {path: said for path, said in shared.items() if path not in own}
    newest = sorted(catalog.newest_releases(), key=lambda release: (release.family != "mobile", release.name))
    sections = []
    for release in newest:
        has_envelope = release.family == "mobile" or release == catalog.unmodelled
        sections.append(_section(catalog, release, every if has_envelope else {}))
    return _TEMPLATE.render(every_event=[*_lines(catalog.unmodelled, every)], sections=sections)


def _section(catalog: Catalog, release: Release, every: dict[str, Any]) -> SchemaSection:
    """Return the section of a schema, without the fields that it has in common with every event."""
    said = version.described(release.schema)
    rest = {path: one for path, one in said.items() if every.get(path, {}) | {"doc": ""} != one | {"doc": ""}}
    return SchemaSection(
        release.name,
        release.schema.get("doc", ""),
        table_name(release.name),
        [one for one in catalog.releases if (one.family, one.name) == (release.family, release.name)],
        [*_lines(release, rest)],
    )


def _lines(release: Release, said: dict[str, Any]) -> Iterator[FieldLine]:
    made = _columns(release.schema)
    for path, one in said.items():
        if one["kind"] != schema_model.BLOCK:
            member = f", sent as {one['member']}" if "member" in one else ""
            yield FieldLine(path, f"{one['kind']}{member}", made[path], one.get("doc", "") or "")


def _columns(schema: dict[str, Any]) -> dict[str, list[Column]]:
    """Return the columns of each field, by its path."""
    return {
        f"{block}{inner['name']}": [*columns.columns([inner], block)]
        for field in schema["fields"]
        for block, inner in _leaves(field)
    }


def _leaves(field: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    avro = field["type"]
    if isinstance(avro, dict) and avro["type"] == "record":
        yield from ((f"{field['name']}.", inner) for inner in avro["fields"])
    else:
        yield "", field
