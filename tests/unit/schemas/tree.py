"""A copy of the released schemas to be broken, and the faults that `check` reports."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from schemas.__main__ import main
from schemas.catalog.catalog import HERE, Catalog

RELEASED = len(Catalog.load().releases)
UNMODELLED = "avro/tapline/Unmodelled/1_0_0.avsc"
OPENED = "avro/mobile/AppOpened/5_0_0.avsc"
Schema = dict[str, Any]


class Tree:
    """A copy of the released schemas, to be broken."""

    def __init__(self, root: Path) -> None:
        self.root = root
        shutil.copytree(HERE / "avro", root / "avro")
        shutil.copy(HERE / "registry.json", root)

    def entries(self) -> list[dict[str, Any]]:
        """Return the entries of the registry."""
        entries: list[dict[str, Any]] = json.loads((self.root / "registry.json").read_bytes())["releases"]
        return entries

    def register(self, entries: list[dict[str, Any]]) -> None:
        """Write the registry."""
        (self.root / "registry.json").write_text(json.dumps({"releases": entries}))

    def schema(self, file: str = OPENED) -> Schema:
        """Return a file's schema."""
        schema: Schema = json.loads((self.root / file).read_bytes())
        return schema

    def rewrite(self, file: str, data: str) -> None:
        """Change a file and its hash, as if it had been released like that."""
        (self.root / file).write_text(data)
        entries = self.entries()
        for entry in entries:
            if entry["file"] == file:
                entry["sha256"] = hashlib.sha256(data.encode()).hexdigest()
        self.register(entries)

    def release(self, file: str, schema: Schema) -> None:
        """Add a file and its entry."""
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(schema))
        entries = self.entries()
        schema_id = f"Event_{path.parent.name}_{path.stem}"
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        self.register(
            [*entries, {"id": len(entries) + 1, "schema_id": schema_id, "file": file, "sha256": sha256}]
        )

    def change(self, change: Callable[[Schema], object]) -> None:
        """Change AppOpened's schema, as if it had been released like that."""
        schema = self.schema()
        change(schema)
        self.rewrite(OPENED, json.dumps(schema))


def faults(tree: Tree, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return the faults that `check` reports; it must fail."""
    assert main(["check", "--root", str(tree.root)]) == 1
    said = capsys.readouterr()

    assert said.out == ""
    assert "Traceback" not in said.err
    return said.err.splitlines()


def field_of(schema: Schema, path: str) -> dict[str, Any]:
    """Return the declaration of a field."""
    fields = schema["fields"]
    for step in path.split("."):
        found: dict[str, Any] = next(field for field in fields if field["name"] == step)
        fields = (
            found["type"]["fields"] if isinstance(found["type"], dict) and "fields" in found["type"] else []
        )
    return found
