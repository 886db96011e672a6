"""Two versions of an Avro schema -> what keeps readers of the newer from reading data of the older.

Confluent's BACKWARD rule. Every problem is told with the path it is at and its reason.
Source: Avro 1.12, "Schema Resolution"; the order of questions is that of Java's SchemaCompatibility.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from schemas.catalog import Catalog, Release

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
    """Yield what keeps any version in the catalog from following the version before it."""
    before: dict[tuple[str, str], Release] = {}
    for release in sorted(catalog.releases, key=lambda release: release.version):
        key = (release.family, release.name)
        if older := before.get(key):
            if older.wire_id > release.wire_id:
                yield f"{release.schema_id}: released before {older.schema_id}, though its version is higher"
            for problem in backward_problems(older.schema, release.schema):
                yield f"{release.schema_id} cannot read data of {older.schema_id}: {problem}"
        before[key] = release


def backward_problems(older: Any, newer: Any) -> tuple[str, ...]:
    """Return why a reader with `newer` cannot read what was written with `older`; empty when it can."""
    return tuple(_Comparison(_names(older), _names(newer)).problems(older, newer, ""))


def _names(schema: Any) -> dict[str, Any]:
    """Return the named types defined within a schema, by their name without namespace."""
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
    compared: set[tuple[str, str]] = field(default_factory=set)  # records, which may contain themselves

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
                yield f"{place}: new, and has no default"


def _problems_of_enums(writer: dict[str, Any], reader: dict[str, Any], path: str) -> Iterator[str]:
    missing = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
    if missing and "default" not in reader:
        yield f"{_at(path)}: no longer has {', '.join(missing)}"


def _resolved(schema: Any, names: dict[str, Any]) -> Any:
    """Return a union as a list, any other type as a dictionary whose `type` is the name of a type."""
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
