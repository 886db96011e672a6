"""Tokens: their syntax, their file, and `python -m ingest.tokens`."""

import stat
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from ingest import tokens
from ingest.token_file import TokenFile, TokensError, id_of
from runtime import command
from runtime.tokens import SECRET_LENGTH_MIN, Token, parse

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
ONE, TWO = "the-first-of-two-secrets", "the-second-of-two-secrets"


def test_tokens_stand_on_lines_or_between_commas() -> None:
    """Comments and empty lines are skipped; a `#` within a secret belongs to it."""
    text = f"# all of them\n{ONE}:app1|app2  # of the shop\n\n{TWO}, a#secret-with-a-hash\n"

    assert parse(text) == (
        Token(ONE, frozenset({"app1", "app2"}), "of the shop"),
        Token(TWO, frozenset()),
        Token("a#secret-with-a-hash", frozenset()),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x" * (SECRET_LENGTH_MIN - 1), "line 1: a secret must have 16 characters"),
        (f"# fine\n{ONE}/", "line 2: a secret must have neither"),
        (f"{ONE} {TWO}", "line 1: a secret must have neither"),
        (f"{ONE}:", "line 1: after `:` there must be app ids"),
        (f"{ONE}\n{ONE}:app", "line 2: a secret occurs twice"),
        ("# none\n", "no token found"),
    ],
)
def test_what_is_wrong_is_told_by_line(text: str, problem: str) -> None:
    """Without the secret itself."""
    with pytest.raises(ValueError, match=problem) as raised:
        parse(text)

    assert ONE not in str(raised.value)


def test_no_secret_is_in_a_repr() -> None:
    """Even if a token ends up in a log."""
    assert ONE not in repr(Token(ONE, frozenset()))


def test_a_changed_file_is_read_once_it_rests(tmp_path: Path) -> None:
    """Two checks must find it the same, so that a partial write is not used."""
    path = tmp_path / "tokens"
    path.write_text(ONE)
    file = TokenFile(path)
    assert file.changed() is None
    path.write_text(f"{ONE}\n{TWO}\n")

    assert file.changed() is None
    assert [token.secret for token in file.changed() or ()] == [ONE, TWO]
    assert file.changed() is None


@pytest.mark.parametrize("broken", ["", "short", b"\xff" * 16, None])
def test_a_broken_file_is_told_until_it_is_right(tmp_path: Path, broken: str | bytes | None) -> None:
    """Empty, truncated, not text, or missing: an error at each check; a later correct file is used."""
    path = tmp_path / "tokens"
    path.write_text(ONE)
    file = TokenFile(path)
    path.unlink()
    if broken is not None:
        path.write_bytes(broken if isinstance(broken, bytes) else broken.encode())
    file.changed()

    for _ in range(2):
        with pytest.raises(TokensError, match=str(path)):
            file.changed()
    path.write_text(TWO)
    file.changed()
    assert file.changed() == (Token(TWO, frozenset()),)


def test_a_token_is_added_and_revoked(tmp_path: Path) -> None:
    """Other lines stay unchanged; only the owner can read the file."""
    path = tmp_path / "tokens"
    path.write_text(f"# mine\n{ONE}, {TWO}:app  # two\n")
    file = TokenFile(path)
    secret = file.add(["app1", "app2"], NOW)
    added = file.read()[-1]

    assert added == Token(secret, frozenset({"app1", "app2"}), "created 2026-11-28T12:00:00Z")
    assert len(secret) >= SECRET_LENGTH_MIN
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert file.revoke(id_of(Token(ONE, frozenset()))).secret == ONE
    assert path.read_text().splitlines()[:2] == ["# mine", f"{TWO}:app  # two"]
    file.revoke(id_of(added))
    assert [token.secret for token in file.read()] == [TWO]


def test_the_last_token_is_not_revoked(tmp_path: Path) -> None:
    """Ingest would reject an empty file and continue with the old token."""
    file = TokenFile(tmp_path / "tokens")
    file.add([], NOW)

    with pytest.raises(TokensError, match="the last"):
        file.revoke(id_of(file.read()[0]))
    with pytest.raises(TokensError, match="0 tokens"):
        file.revoke("no-such-id")


def test_the_command_shows_no_secret_but_a_new_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`new` prints its secret alone on standard output; `list` and `revoke` print ids."""
    env = {"INGEST_TOKENS_FILE": str(tmp_path / "tokens")}
    secrets = []
    for arguments in (["new"], ["new", "--app", "app1", "--app", "app2"]):
        assert tokens.main(arguments, env) == 0
        secrets.append(capsys.readouterr().out.strip())
    assert tokens.main(["list"], env) == 0
    listed = capsys.readouterr().out
    ids = [line.split()[0] for line in listed.splitlines()[1:]]

    assert "app1, app2" in listed
    assert "every app" in listed
    assert tokens.main(["revoke", ids[0]], env) == 0
    said = capsys.readouterr()
    assert not any(secret in listed + said.out + said.err for secret in secrets)
    for arguments, given in (
        (["revoke", ids[0]], env),
        (["list"], {"INGEST_TOKENS": ONE}),
        (["list"], {"DATA_DIR": str(tmp_path / "nowhere")}),
    ):
        assert command.run("tokens", partial(tokens.main, arguments, given)) == 1
