"""A file of redaction rules, and the file of their key -> `Redaction`, or all problems at once.

    [all]                           # every event
    device_id = "hash"
    device_properties.ip = "truncate"

    [event.ProductViewed]           # events of one type, in addition; these rules win
    event_properties."e.mail" = "drop"

Invariant: a problem names the rule, and never holds the key. The format is TOML 1.0: a dot leads into a
member, a name with a dot of its own is quoted.
"""

import logging
import tomllib
from collections.abc import Iterator
from pathlib import Path as FilePath
from typing import Any

from ingest.settings import Settings
from runtime import secret_key
from runtime.environment import SettingsError
from schemas.codec.redaction import ACTIONS, HASH, Path, Redaction, RedactionRules, Rules

_LOG = logging.getLogger(__name__)

# An event without these cannot be placed, found or read.
_NEEDED = frozenset({"event", "event_type", "event_id", "app_id", "timestamp", "timestamp_iso"})
_NEEDED_INSIDE = frozenset(
    {("metadata",), ("metadata", "schema_id"), ("mp_metadata",), ("mp_metadata", "mp_event_id")}
)
_SECTIONS = ("all", "event")


def of_settings(settings: Settings) -> Redaction | None:
    """Compile the rules that the settings name. Raises: SettingsError."""
    if settings.redact is None:
        return None
    keeps_unparsed = settings.redact_unparsed == "keep"
    return read(settings.redact, settings.redact_key_file, keeps_unparsed=keeps_unparsed)


def read(path: FilePath, key_file: FilePath | None, *, keeps_unparsed: bool) -> Redaction:
    """Compile the rules of the file at `path`. Raises: SettingsError."""
    try:
        declared = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        words = error.strerror if isinstance(error, OSError) else error
        raise SettingsError(f"INGEST_REDACT: {path}: {words}") from error
    problems: list[str] = [
        f"INGEST_REDACT: {name}: the sections are [all] and [event.TYPE]"
        for name in declared
        if name not in _SECTIONS
    ]
    everywhere = _rules("all", declared.get("all", {}), problems)
    sections = _tables("event", declared.get("event", {}), problems)
    by_event_type = {name: _rules(f"event.{name}", own, problems) for name, own in sections}
    found = [everywhere, *by_event_type.values()]
    hashes = any(HASH in rules.values() for rules in found)
    key = _key(key_file, problems) if hashes else b""
    if problems:
        raise SettingsError("\n".join(problems))
    rules = sum(map(len, found))
    _LOG.info("redaction_in_use", extra={"rules": rules, "event_types": [*by_event_type]})
    return Redaction(RedactionRules(everywhere, by_event_type, key, keeps_unparsed))


def _tables(section: str, value: Any, problems: list[str]) -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        return [*value.items()]
    problems.append(f"INGEST_REDACT: {section}: must be a section")
    return []


def _rules(section: str, declared: Any, problems: list[str]) -> Rules:
    rules = {}
    for path, action in _leaves(_tables(section, declared, problems)):
        name = f"INGEST_REDACT: {section}: {'.'.join(path)}"
        if path[0] in _NEEDED or path in _NEEDED_INSIDE:
            problems.append(f"{name}: an event needs this field as it is")
        elif action not in ACTIONS:
            problems.append(f"{name}: must be one of {', '.join(ACTIONS)}")
        else:
            rules[path] = action
    return rules


def _leaves(members: list[tuple[str, Any]], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    for name, value in members:
        if isinstance(value, dict):
            yield from _leaves([*value.items()], (*path, name))
        else:
            yield (*path, name), value


def _key(path: FilePath | None, problems: list[str]) -> bytes:
    if path is None:
        problems.append("INGEST_REDACT_KEY_FILE: needed, because a rule hashes")
        return b""
    try:
        return secret_key.read("INGEST_REDACT_KEY_FILE", path)
    except SettingsError as error:
        problems += str(error).splitlines()
        return b""
