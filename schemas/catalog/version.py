"""Two schemas of one name -> the version of the newer one, and their differences by path. Pure.

Invariants: a removed field requires a new major version, a new field or column a minor one, changed texts a
patch. Our versions count Tapline's schemas: Tapcart has its own, and adds fields without a new one.
"""

from collections.abc import Iterator
from typing import Any

from schemas.catalog import schema_model
from schemas.catalog.catalog import Release
from schemas.catalog.columns import columns

Version = tuple[int, int, int]
_FIRST: Version = (1, 0, 0)


def next_version(older: Release | None, schema: dict[str, Any]) -> Version | None:
    """Return the version of `schema` after `older`; None if they do not differ."""
    if older is None:
        return _FIRST
    major, minor, patch = older.version
    was, is_now = schema_model.leaves(older.schema), schema_model.leaves(schema)
    if was.keys() - is_now.keys():
        return major + 1, 0, 0
    if is_now.keys() - was.keys() or _columns(schema) != _columns(older.schema):
        return major, minor + 1, 0
    return None if schema == older.schema else (major, minor, patch + 1)


def refusal(older: Release | None, schema: dict[str, Any], given: Version) -> str:
    """Return why `schema` cannot have the requested version, or ""."""
    least = next_version(older, schema)
    if older is None or least is None:
        return ""
    if given <= older.version:
        newest = "is released" if given == older.version else f"is older than {words(older.version)}"
        return f"version {words(given)} {newest}, and releases never change: next is {words(least)}"
    if given < least:
        return f"version {words(given)} is too low for the differences: at least {words(least)}"
    return ""


def words(version: Version) -> str:
    """Format a version as in file names."""
    return "_".join(map(str, version))


def differences(older: dict[str, Any], newer: dict[str, Any]) -> Iterator[str]:
    """Yield the differences, one per line: `+ path: kind`, `- path: kind`, `~ path: what was -> what is`."""
    was, is_now = described(older), described(newer)
    for path in [*was, *(path for path in is_now if path not in was)]:
        if path not in is_now:
            yield f"- {path}: {was[path]['kind']}"
        elif path not in was:
            yield f"+ {path}: {is_now[path]['kind']}"
        else:
            for what in was[path] | is_now[path]:
                before, after = was[path].get(what, "nothing"), is_now[path].get(what, "nothing")
                if before != after:
                    yield f"~ {path}: {what}: {before} -> {after}"
    if older.get("doc") != newer.get("doc"):
        yield f"~ {newer['name']}: doc: {older.get('doc')} -> {newer.get('doc')}"


def described(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Describe each field by path: its kind, doc and attributes."""
    found: dict[str, dict[str, Any]] = {}
    for field, declared in zip(schema_model.fields(schema), schema["fields"], strict=True):
        if field.kind != schema_model.BLOCK:
            found[field.name] = _said(field, declared)
            continue
        found[field.name] = {"kind": field.kind, "doc": declared.get("doc")}
        for inner, inner_declared in zip(field.fields, declared["type"]["fields"], strict=True):
            found[f"{field.name}.{inner.name}"] = _said(inner, inner_declared)
    return found


def _said(field: schema_model.Field, declared: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in declared.items() if name not in ("name", "type", "default")}
    return {"kind": f"{'nullable ' if field.nullable else ''}{field.kind}", **rest}


def _columns(schema: dict[str, Any]) -> list[tuple[str, str]]:
    return [(column.name, column.type) for column in columns(schema["fields"])]
