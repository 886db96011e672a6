"""The ids of people -> what is looked for in rows. Pure.

An id counts wherever a text column holds its words (see `consumers.kit.erasures.words`). An id of fewer than
`LENGTH_MIN` characters occurs by chance, so it counts in the columns of its kind alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from consumers.kit.erasures import words


@dataclass(frozen=True, slots=True)
class People:
    """Ids of one person, or of many."""

    ids: Mapping[str, tuple[str, ...]]  # DEVICE, SHOPPER or SESSION -> ids
    app_id: str = ""  # empty: every app

    @property
    def kinds(self) -> str:
        """The number of ids of each kind, as text."""
        return ", ".join(f"{len(ids)} x {kind}" for kind, ids in self.ids.items() if ids)

    def with_hashes(self, hashed: Callable[[str], str]) -> "People":
        """Return the people with the hash of each id too, as redaction has stored it."""
        return replace(self, ids={kind: (*own, *map(hashed, own)) for kind, own in self.ids.items()})

    def sequences(self) -> dict[int, list[str]]:
        """Return the words of the ids that count everywhere, joined by blanks, by their number."""
        found: dict[int, list[str]] = {}
        for ids in self.ids.values():
            for one in filter(None, map(words.of_id, ids)):
                found.setdefault(len(one), []).append(" ".join(one))
        return found

    def short(self) -> dict[str, list[str]]:
        """Return the ids that count in columns of their kind alone, by kind."""
        found = {kind: [one for one in ids if not words.of_id(one)] for kind, ids in self.ids.items()}
        return {kind: ids for kind, ids in found.items() if ids}
