"""Two versions of an Avro schema -> reasons why readers of the newer cannot read data of the older.

Confluent's BACKWARD rule, plus Tapline's: required fields stay, a column keeps its type, and every event type
has the columns that `tapcart.events` shows for all. Every problem is reported with its path and reason.
Source: Avro 1.12, "Schema Resolution"; the order of checks follows Java's SchemaCompatibility.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from schemas.catalog import schema_model
from schemas.catalog.catalog import Catalog, Release
from schemas.catalog.columns import columns

# reader type -> the writer types whose data it can read
_PROMOTED = {
    "long": {"int"},
    "float": {"int", "long"},
    "double": {"int", "long", "float"},
    "string": {"bytes"},
    "bytes": {"string"},
}
_NAMED = ("record", "enum", "fixed")


def problems(catalog: Catalog) -> Iterator[str]:
    """Yield the problems of each version in the catalog relative to earlier versions."""
    shared = _shared(catalog)
    before: dict[tuple[str, str], Release] = {}
    present: dict[tuple[str, str], dict[str, str]] = {}
    for release in sorted(catalog.releases, key=lambda release: release.version):
        key = (release.family, release.name)
        found = {column.name: column.type for column in columns(release.schema["fields"])}
        if older := before.get(key):
            yield from _version_problems(older, release)
            yield from _column_problems(release, present[key], found)
        before[key] = release
        present[key] = {**present.get(key, {}), **found}
        if release.family == "mobile":
            yield from _unshared(release, shared, present[key])


def backward_problems(older: Any, newer: Any) -> tuple[str, ...]:
    """Return why a reader with `newer` cannot read data written with `older`, if so."""
    return tuple(_Comparison(_names(older), _names(newer)).problems(older, newer, ""))


def _version_problems(older: Release, newer: Release) -> Iterator[str]:
    if older.wire_id > newer.wire_id:
        yield f"{newer.schema_id}: released before {older.schema_id}, although its version is higher"
    for problem in backward_problems(older.schema, newer.schema):
        yield f"{newer.schema_id} cannot read data of {older.schema_id}: {problem}"
    left = schema_model.leaves(newer.schema)
    for path, known in schema_model.leaves(older.schema).items():
        if path not in left and not known.nullable:
            yield f"{newer.schema_id}: {path}: removed, although every event has it"


def _column_problems(release: Release, present: Mapping[str, str], found: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(present.keys() & found.keys()):
        if present[name] != found[name]:
            was, would_be = present[name], found[name]
            yield f"{release.schema_id}: {name}: its column is {was} and cannot become {would_be}"


def _shared(catalog: Catalog) -> dict[str, str]:
    """Return name and type of the columns that all event types share: Unmodelled's except its JSON."""
    fields = [field for field in catalog.unmodelled.schema["fields"] if "json" not in field]
    return {column.name: column.type for column in columns(fields)}


def _unshared(release: Release, shared: Mapping[str, str], present: Mapping[str, str]) -> Iterator[str]:
    for name, kind in shared.items():
        if present.get(name) != kind:
            has = f"is {present[name]}" if name in present else "is missing"
            yield f"{release.schema_id}: {name}: {has}; tapcart.events shows it for every event, as {kind}"


def _names(schema: Any) -> dict[str, Any]:
    """Return the named types defined within a schema, by name without namespace."""
    found: dict[str, Any] = {}
    if isinstance(schema, list):
        for branch in schema:
            found |= _names(branch)
    elif isinstance(schema, dict):
        if schema["type"] in _NAMED:
            found[_short(schema["name"])] = schema
        for inner in schema.get("fields", ()):
            found |= _names(inner["type"])
        for part in ("items", "values"):
            found |= _names(schema.get(part))
        if isinstance(schema["type"], dict | list):
            found |= _names(schema["type"])
    return found


@dataclass(frozen=True, slots=True)
class _Comparison:
    writer_names: dict[str, Any]
    reader_names: dict[str, Any]
    compared: set[tuple[str, str]] = field(default_factory=set)  # records, which may be recursive

    def problems(self, older: Any, newer: Any, path: str) -> Iterator[str]:
        writer, reader = _resolved(older, self.writer_names), _resolved(newer, self.reader_names)
        if isinstance(writer, list):
            for branch in writer:
                yield from self.problems(branch, reader, path)
        elif isinstance(reader, list):
            yield from self._problems_of_branches(writer, reader, path)
        else:
            yield from self._problems_of_types(writer, reader, path)

    def _problems_of_branches(self, writer: dict[str, Any], reader: list[Any], path: str) -> Iterator[str]:
        if any(self._can_read(writer, branch) for branch in reader):
            return
        same = [branch for branch in reader if _resolved(branch, self.reader_names)["type"] == writer["type"]]
        if len(same) == 1:
            yield from self.problems(writer, same[0], path)
        else:
            yield f"{_at(path)}: {_words(writer)} is none of {' | '.join(map(_words, reader))}"

    def _can_read(self, writer: Any, reader: Any) -> bool:
        fresh = _Comparison(self.writer_names, self.reader_names, set(self.compared))
        return not any(fresh.problems(writer, reader, ""))

    def _problems_of_types(self, writer: dict[str, Any], reader: dict[str, Any], path: str) -> Iterator[str]:
        old, new = writer["type"], reader["type"]
        if old != new:
            if old not in _PROMOTED.get(new, ()):
                yield f"{_at(path)}: {_words(writer)} became {_words(reader)}"
        elif new in _NAMED and _short(writer["name"]) not in _accepted(reader):
            yield f"{_at(path)}: {_words(writer)} became {_words(reader)}"
        elif new == "record":
            yield from self._problems_of_records(writer, reader, path)
        elif new == "enum":
            yield from _problems_of_enums(writer, reader, path)
        elif new == "fixed" and writer["size"] != reader["size"]:
            yield f"{_at(path)}: {writer['size']} bytes became {reader['size']}"
        elif new == "array":
            yield from self.problems(writer["items"], reader["items"], f"{path}[]")
        elif new == "map":
            yield from self.problems(writer["values"], reader["values"], f"{path}{{}}")

    def _problems_of_records(
        self, writer: dict[str, Any], reader: dict[str, Any], path: str
    ) -> Iterator[str]:
        pair = (writer["name"], reader["name"])
        if pair in self.compared:
            return
        self.compared.add(pair)
        written = {inner["name"]: inner for inner in writer.get("fields", ())}
        for inner in reader.get("fields", ()):
            place = f"{path}.{inner['name']}" if path else inner["name"]
            source = next((written[name] for name in _accepted(inner) if name in written), None)
            if source is not None:
                yield from self.problems(source["type"], inner["type"], place)
            elif "default" not in inner:
                yield f"{place}: new, but has no default"


def _problems_of_enums(writer: dict[str, Any], reader: dict[str, Any], path: str) -> Iterator[str]:
    missing = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
    if missing and "default" not in reader:
        yield f"{_at(path)}: no longer has {', '.join(missing)}"


def _resolved(schema: Any, names: dict[str, Any]) -> Any:
    """Return a union as a list, any other type as a dictionary whose `type` is a type name."""
    if isinstance(schema, list):
        return schema
    if isinstance(schema, str):
        return names.get(_short(schema), {"type": schema})
    return schema if isinstance(schema["type"], str) else _resolved(schema["type"], names)


def _accepted(named: dict[str, Any]) -> list[str]:
    return [_short(name) for name in (named["name"], *named.get("aliases", ()))]


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _at(path: str) -> str:
    return path or "the whole"


def _words(schema: Any) -> str:
    if isinstance(schema, str):
        return schema
    return f"{schema['type']} {schema['name']}" if "name" in schema else str(schema["type"])
