"""`python -m ingest.tokens new | list | revoke`: the tokens of a running ingest, which reloads their file.

The file is INGEST_TOKENS_FILE, else `$DATA_DIR/token`, the one of `make run`. `new` prints its secret; no
other command prints any. To rotate a token: create a new one, have the sender use the new URL, then revoke
the old one. Exit status: 0 done, 1 failed; all else: see `runtime.command`.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from ingest.token_file import TokenFile, TokensError, id_of
from runtime import command
from runtime.kafka import topics
from runtime.kafka.audit import AuditRecord, noted

_NOTE = "a running ingest reloads it within 3 seconds"


def main(arguments: Sequence[str], env: Mapping[str, str]) -> int:
    """Run the command in `arguments`; return the exit status. Raises: TokensError."""
    options = _options(arguments)
    if env.get("INGEST_TOKENS"):
        raise TokensError("INGEST_TOKENS is set; tokens in the environment cannot be edited")
    path = env.get("INGEST_TOKENS_FILE") or Path(env.get("DATA_DIR") or "data") / "token"
    file = TokenFile(Path(path))
    if options.command == "new":
        print(file.add(options.app, datetime.now(UTC)))
        print(f"tokens: added to {file.path}; {_NOTE}", file=sys.stderr)
        _note(env, "added")
    elif options.command == "revoke":
        token = file.revoke(options.id)
        print(f"tokens: {id_of(token)} is revoked; {_NOTE}", file=sys.stderr)
        _note(env, f"revoked {id_of(token)}")
    else:
        _list(file)
    return 0


def _note(env: Mapping[str, str], detail: str) -> None:
    record = AuditRecord(action="tokens", count=1, detail=detail)
    if problem := noted(topics.client_properties(env), record):
        print(f"tokens: {problem}", file=sys.stderr)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tapline tokens", description="Manage ingest's tokens.")
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("new", help="add a token and print its secret")
    new.add_argument("--app", action="append", default=[], type=_app_id, help="bind it to this app id")
    commands.add_parser("list", help="show all tokens without their secrets")
    revoke = commands.add_parser("revoke", help="remove a token")
    revoke.add_argument("id", help="as `list` shows it")
    return parser.parse_args(arguments)


def _app_id(text: str) -> str:
    if not text or set(text) & set("|,#") or not text.isprintable() or text != text.strip():
        raise argparse.ArgumentTypeError("an app id must not contain `|`, `,` or `#`")
    return text


def _list(file: TokenFile) -> None:
    print(f"{'id':<10}{'apps':<40}note")
    for token in file.read():
        apps = ", ".join(sorted(token.app_ids)) or "every app"
        print(f"{id_of(token):<10}{apps:<40}{token.note}".rstrip())


if __name__ == "__main__":
    command.main("tokens", partial(main, env=os.environ))
