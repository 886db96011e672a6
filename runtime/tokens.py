"""The text of INGEST_TOKENS or of a tokens file -> tokens: who may post, and for which apps.

`secret` or `secret:app1|app2`, one a line or comma separated; `#` at a line's start or after a space begins a
comment. Invariant: no secret is in an error's text or in a repr. Source: the public contract in DESIGN.md.
"""

import re
from dataclasses import dataclass, field

SECRET_LENGTH_MIN = 16  # guessing must be hopeless
# Of a POST: the apps it may speak for, `|` between them, percent-encoded; it narrows what its token may do.
APPS_HEADER = "Tapline-Apps"
_COMMENT = re.compile(r"(?:^|\s)#(.*)")


@dataclass(frozen=True, slots=True)
class Token:
    """A secret of the webhook URL and the apps it may speak for."""

    secret: str = field(repr=False)
    app_ids: frozenset[str]  # empty: every app
    note: str = ""  # the comment on its line

    def admits(self, app_id: str) -> bool:
        """Return whether it may speak for `app_id`."""
        return not self.app_ids or app_id in self.app_ids


def parse(text: str) -> tuple[Token, ...]:
    """Return the tokens in `text`. Raises: ValueError naming the line, also when there is none."""
    found: dict[str, Token] = {}
    for number, line in enumerate(text.splitlines(), 1):
        entries, note = taken_apart(line)
        for entry in entries:
            if problem := _problem(entry):
                raise ValueError(f"line {number}: {problem}")
            secret, _, apps = entry.partition(":")
            if secret in found:
                raise ValueError(f"line {number}: a secret is there twice")
            found[secret] = Token(secret, frozenset(filter(None, apps.split("|"))), note)
    if not found:
        raise ValueError("there is no token: `secret` or `secret:app1|app2`, one a line or comma separated")
    return tuple(found.values())


def taken_apart(line: str) -> tuple[list[str], str]:
    """Return the entries of a line, each `secret` or `secret:app1|app2`, and its comment."""
    comment = _COMMENT.search(line)
    entries = line[: comment.start()] if comment else line
    return [*filter(None, map(str.strip, entries.split(",")))], comment[1].strip() if comment else ""


def _problem(entry: str) -> str:
    secret, bound, apps = entry.partition(":")
    if len(secret) < SECRET_LENGTH_MIN:
        return f"a secret must have {SECRET_LENGTH_MIN} characters or more"
    if "/" in secret or not secret.isprintable() or any(map(str.isspace, secret)):
        return "a secret must have neither `/` nor white space"
    if bound and not apps.strip("|"):
        return "after `:` there must be app ids, as in `secret:app1|app2`"
    return ""
