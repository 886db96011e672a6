"""Data of an event type without columns -> its next schema, proposed with reasons. Pure.

Invariants: a proposal is valid, reads all data of the newest version, and keeps its fields and their order.
New fields come last in their block, new blocks before `extra`. Data that gets no field is reported with the
reason, and stays in `extra`. Source: docs/decisions/0014-schema-inference.md.
"""

import copy
import difflib
import json
import re
from dataclasses import dataclass
from typing import Any

from runtime.printable import printable_lines
from schemas.catalog import columns, schema_model, version
from schemas.catalog.catalog import Catalog, Release, table_problems
from schemas.inference.field_profile import FieldProfile, Path, Values
from schemas.inference.field_types import decide

_NAME_CHARS_MAX = 100
_EVENT_TYPE = re.compile(r"[A-Za-z]\w*", re.ASCII)
_SCHEMA_ID = re.compile(r"Event_(.+)_(\d+)_(\d+)_(\d+)", re.ASCII)

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Proposal:
    """The next schema of one event type."""

    event_type: str
    older: Release | None  # None: a new type
    schema: Schema | None  # None: nothing to propose
    version: version.Version
    proposed: tuple[str, ...]  # `path: reason`, one per line
    not_proposed: tuple[str, ...]  # paths without a proposal, in the same form

    @property
    def file(self) -> str:
        """The path of its file in a folder of schemas."""
        return f"avro/mobile/{self.event_type}/{version.words(self.version)}.avsc"

    def text(self) -> str:
        """Return the text of its file."""
        return as_text(self.schema) if self.schema else ""

    def diff(self) -> str:
        """Return a unified diff from the newest version."""
        before, name = ("", "/dev/null")
        if self.older:
            name = f"avro/{self.older.family}/{self.older.name}/{version.words(self.older.version)}.avsc"
            before = as_text(self.older.schema)
        lines = (before.splitlines(keepends=True), self.text().splitlines(keepends=True))
        return "".join(difflib.unified_diff(*lines, name, self.file))


def as_text(schema: Schema) -> str:
    """Format a schema as its file; names and texts from senders become printable."""
    return printable_lines(json.dumps(schema, indent=2, ensure_ascii=False), None) + "\n"


def propose(catalog: Catalog, event_type: str, seen: FieldProfile, events_min: int = 1) -> Proposal:
    """Propose the next schema of an event type; fields in fewer than `events_min` events are reported."""
    older = catalog.newest(event_type)
    if reason := _unnameable(catalog, event_type) if older is None else "":
        return Proposal(event_type, None, None, (0, 0, 0), (), (f"{event_type!r}: {reason}",))
    draft = _Draft(copy.deepcopy(older.schema) if older else _blank(catalog, event_type, seen.events))
    for path, values in sorted(seen.paths.items(), key=lambda item: -item[1].events):
        draft.consider(path, values, seen.events, events_min)
    if seen.beyond:
        draft.not_proposed.append(f"{seen.beyond} values under names beyond the limit")
    draft.finish()
    number = version.next_version(older, draft.schema) or (older.version if older else (1, 0, 0))
    if older is None:
        number = _as_sent(event_type, seen) or number
    schema = draft.schema if draft.proposed or older is None else None
    return Proposal(event_type, older, schema, number, tuple(draft.proposed), tuple(draft.not_proposed))


class _Draft:
    """A schema under construction."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self.proposed: list[str] = []
        self.not_proposed: list[str] = []
        self._numbers: list[tuple[str, dict[str, Any], str]] = []
        self._known = {field.member: field for field in schema_model.fields(schema)}

    def consider(self, path: Path, values: Values, events: int, events_min: int) -> None:
        """Add a field for the data at `path`, or report the reason why not."""
        shown = ".".join(path)
        if reason := self._refusal(path):
            self.not_proposed.append(f"{shown}: {reason} ({values.events} events)")
            return
        decision = decide(_snake(path[-1]), values, events)
        if decision.declared is None or values.events < events_min:
            few = f"in fewer than {events_min} events; " if values.events < events_min else ""
            self.not_proposed.append(f"{shown}: {few}{decision.words}")
            return
        field = self._place(path, decision.declared)
        if field is None:
            self.not_proposed.append(
                f"{shown}: no column name can be formed from its name ({decision.words})"
            )
        else:
            renamed = f"; as {field['name']}" if field["name"] != path[-1] else ""
            self.proposed.append(f"{shown}: {decision.words}{renamed}")

    def finish(self) -> None:
        """Add number columns unless they collide with a field; remove blocks without fields."""
        for path, field, number in self._numbers:
            field["number"] = number
            if columns.repeated(self.schema["fields"]):
                del field["number"]
                self.not_proposed.append(
                    f"{path}: text without a number column, because a field already uses its name"
                )
        self.schema["fields"] = [f for f in self.schema["fields"] if not _is_block(f) or f["type"]["fields"]]

    def _refusal(self, path: Path) -> str:
        known = self._known.get(path[0])
        if len(path) == 1 and path[0] in schema_model.OURS:
            return "name is reserved by Tapline"
        is_leaf = known is not None and (len(path) == 1 or known.kind != schema_model.BLOCK)
        if is_leaf or (known and path[1] in {field.member for field in known.fields}):
            return "already known: `replay --untyped` fills its column with the values that fit its type"
        return "its name is too long" if any(len(name) > _NAME_CHARS_MAX for name in path) else ""

    def _place(self, path: Path, declared: dict[str, Any]) -> dict[str, Any] | None:
        """Add a field under the first free name, and return it."""
        siblings, plain = self._siblings(path), _named(path[-1])
        if siblings is None or not plain:
            return None
        attributes = {key: value for key, value in declared.items() if key != "number"}
        for name in (plain, f"sent_{plain}"):
            field = {"name": name, **attributes}
            if name != path[-1]:
                field |= {"member": path[-1], "doc": f"{declared['doc']} Sent as {path[-1]}."}
            if self._is_free(siblings, path, field):
                self._insert(siblings, path, field)
                if "number" in declared:
                    self._numbers.append((".".join(path), field, declared["number"]))
                return field
        return None

    def _is_free(self, siblings: list[dict[str, Any]], path: Path, field: dict[str, Any]) -> bool:
        """Return whether no field has the name or the member, and no column the name."""
        if any(field["name"] == f["name"] or path[-1] == f.get("member", f["name"]) for f in siblings):
            return False
        block = f"{self._block(path[0])['name']}." if len(path) > 1 else ""
        taken = {column.name for column in columns.columns(self.schema["fields"])}
        return all(column.name not in taken for column in columns.columns([field], block))

    def _insert(self, siblings: list[dict[str, Any]], path: Path, field: dict[str, Any]) -> None:
        if len(path) > 1:
            siblings.append(field)
            self._block(path[0])["default"][field["name"]] = None
        else:
            siblings.insert(len(siblings) - 1, field)  # `extra` stays last

    def _siblings(self, path: Path) -> list[dict[str, Any]] | None:
        if len(path) == 1:
            found: list[dict[str, Any]] = self.schema["fields"]
            return found
        block = self._block(path[0]) or self._new_block(path[0])
        return block["type"]["fields"] if block else None

    def _block(self, member: str) -> dict[str, Any]:
        found = (f for f in self.schema["fields"] if f.get("member", f["name"]) == member and _is_block(f))
        return next(found, {})

    def _new_block(self, member: str) -> dict[str, Any]:
        fields, name = self.schema["fields"], _named(member)
        if not name or any(name == f["name"] or member == f.get("member", f["name"]) for f in fields):
            return {}
        records = {self.schema["name"], *(f["type"]["name"] for f in fields if _is_block(f))}
        record = "".join(part.capitalize() for part in name.split("_"))
        record = next(one for one in (record, f"{record}Block", f"{record}Block2") if one not in records)
        block = {"name": name, "type": {"type": "record", "name": record, "fields": []}, "default": {}}
        block |= {"member": member} if name != member else {}
        block["doc"] = "Inferred from what arrived: a block. All null when it was not sent."
        fields.insert(len(fields) - 1, block)
        return block


def _unnameable(catalog: Catalog, event_type: str) -> str:
    """Return the reason why a type can have no schema, or ""."""
    if not _EVENT_TYPE.fullmatch(event_type) or len(event_type) > _NAME_CHARS_MAX:
        return "not a valid name for an Avro record, so its events stay in unmodelled"
    release = Release(len(catalog.releases) + 1, "", "mobile", event_type, (1, 0, 0), {}, "")
    faults = [*table_problems((*catalog.releases, release))]
    return f"{faults[0].removeprefix(': ')}, so its events stay in unmodelled" if faults else ""


def _blank(catalog: Catalog, event_type: str, events: int) -> Schema:
    """Return the schema of a new type: the shared fields and empty event_properties."""
    schema: Schema = copy.deepcopy(catalog.unmodelled.schema)
    schema |= {
        "name": event_type,
        "doc": f"Inferred from {events} events that arrived; not described by Tapcart.",
    }
    for index, field in enumerate(schema["fields"]):
        if field["name"] == "event_type":
            field["doc"] = f"Always {event_type}."
        if "json" in field:
            schema["fields"][index] = {
                "name": field["json"],
                "type": {"type": "record", "name": "EventProperties", "fields": []},
                "default": {},
                "doc": "What is particular to this type of event.",
            }
    return schema


def _as_sent(event_type: str, seen: FieldProfile) -> version.Version | None:
    """Return the version that most events state, if any."""
    for schema_id, _ in seen.schema_ids.most_common():
        found = _SCHEMA_ID.fullmatch(schema_id)
        if found and found[1] == event_type:
            major, minor, patch = (int(part[:6]) for part in found.groups()[1:])
            return major, minor, patch
    return None


def _is_block(field: dict[str, Any]) -> bool:
    return isinstance(field["type"], dict) and field["type"].get("type") == "record"


def _named(member: str) -> str:
    """Return an Avro name for a member; empty if it has no letter or digit, or cannot be looked up."""
    name = (
        re.sub(r"\W+", "_", member, flags=re.ASCII).strip("_")
        if schema_model.MEMBER.fullmatch(member)
        else ""
    )
    return f"n{name}" if name[:1].isdigit() else name


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|\W+", "_", name).lower()
