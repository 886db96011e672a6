"""The text of INGEST_TOKENS or of a tokens file -> tokens: who may post, and for which apps.

`secret` or `secret:app1|app2`, one per line or separated by commas; `#` at the start of a line or after a
space starts a comment. Invariant: no error text or repr holds a secret. Source: the public contract in
docs/decisions/0011-tokens.md.
"""

import re
from dataclasses import dataclass, field

SECRET_LENGTH_MIN = 16  # makes guessing hopeless
# Header of a POST: the apps it may post for, percent-encoded and separated by `|`. It can only narrow the
# token's apps.
APPS_HEADER = "Tapline-Apps"
_COMMENT = re.compile(r"(?:^|\s)#(.*)")


@dataclass(frozen=True, slots=True)
class Token:
    """A secret of the webhook URL and the apps it may post for."""

    secret: str = field(repr=False)
    app_ids: frozenset[str]  # empty: every app
    note: str = ""  # the comment on its line

    def admits(self, app_id: str) -> bool:
        """Return whether the token may post for `app_id`."""
        return not self.app_ids or app_id in self.app_ids


def parse(text: str) -> tuple[Token, ...]:
    """Parse the tokens in `text`. Raises: ValueError naming the line, or if there are none."""
    found: dict[str, Token] = {}
    for number, line in enumerate(text.splitlines(), 1):
        entries, note = taken_apart(line)
        for entry in entries:
            if problem := _problem(entry):
                raise ValueError(f"line {number}: {problem}")
            secret, _, apps = entry.partition(":")
            if secret in found:
                raise ValueError(f"line {number}: a secret occurs twice")
            found[secret] = Token(secret, frozenset(filter(None, apps.split("|"))), note)
    if not found:
        raise ValueError("no token found: `secret` or `secret:app1|app2`, one per line or comma separated")
    return tuple(found.values())


def taken_apart(line: str) -> tuple[list[str], str]:
    """Split a line into its entries, each `secret` or `secret:app1|app2`, and its comment."""
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
