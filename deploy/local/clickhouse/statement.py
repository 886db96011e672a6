"""The text of one query -> where the front may put `INTO OUTFILE` or `FROM INFILE` into it. Pure.

Invariants: strings, quoted names, heredocs and comments are never looked into; the text around the place is
the client's own, byte for byte, so the engine reports its faults in the client's words.
Source: the grammar of ClickHouse's SELECT and INSERT; formats stand at the end: [FORMAT f] [SETTINGS ...].
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

_TOKEN = re.compile(
    rb"""(?P<blank>\s+ | --[^\n]* | \#[\ !][^\n]* | /\*.*?\*/)
       | (?P<quoted>'(?:[^'\\]|\\.|'')*' | "(?:[^"\\]|\\.|"")*" | `(?:[^`\\]|\\.|``)*`
         | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$)
       | (?P<word>\w+)
       | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)

# What answers with rows, and takes INTO OUTFILE.
_READS = frozenset(
    {b"SELECT", b"WITH", b"FROM", b"(", b"SHOW", b"DESCRIBE", b"DESC", b"EXISTS", b"EXPLAIN", b"VALUES"}
)
_INSERT_ENDS = frozenset({b"FORMAT", b"VALUES", b"SELECT", b"WITH", b"SETTINGS", b"FROM", b"WATCH"})


# Indices of the tokens behind INSERT that are no clause yet, whatever they read.
_INTO_AND_NAME = 1


class StatementError(ValueError):
    """The text is no statement, or two, or one that names files of the server's machine."""


@dataclass(frozen=True, slots=True)
class Read:
    """A query whose rows are streamed: `head` INTO OUTFILE ... FORMAT `format` `tail`."""

    head: str
    format: str  # "" when the text names none
    tail: str  # a SETTINGS clause that stood behind FORMAT


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT with data: `head` FROM INFILE ... `settings` FORMAT `format`, then the data."""

    head: str
    settings: str
    format: str
    data_start: int  # index of the first byte of data behind the statement; its length when there is none


@dataclass(frozen=True, slots=True)
class Command:
    """Anything else: small or no output."""

    text: str


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str  # "quoted" | "word" | "other"
    text: bytes  # upper case for words
    start: int
    end: int
    depth: int  # of round, square and curly brackets


def is_insert(start: bytes) -> bool:
    """Return whether a statement that begins with `start` is an INSERT, which data may follow."""
    first = next(_tokens(start), None)
    return first is not None and first.text == b"INSERT"


def parse(text: bytes) -> Read | Insert | Command:
    """Return what `text` is; for an INSERT it may go on with data. Raises: StatementError."""
    tokens = _tokens(text)
    first = next(tokens, None)
    if first is None or first.text == b";":
        raise StatementError("Empty query")
    if first.text == b"INSERT":
        return _insert(text, tokens)
    rest = [first, *tokens]
    while rest[-1].text == b";":
        rest.pop()
    if any(token.text == b";" for token in rest):
        raise StatementError("Multi-statements are not allowed")
    if any(_is(token, b"OUTFILE") and _is(before, b"INTO") for before, token in pairwise(rest)):
        raise StatementError("INTO OUTFILE is not allowed")
    text = text[: rest[-1].end]
    if first.text not in _READS or (first.text == b"WITH" and any(_is(token, b"INSERT") for token in rest)):
        return Command(text.decode(errors="surrogateescape"))
    return _read(text, rest)


def _read(text: bytes, tokens: list[_Token]) -> Read:
    for index in range(len(tokens) - 2, -1, -1):
        if _is(tokens[index], b"FORMAT") and tokens[index + 1].kind == "word":
            behind = tokens[index + 2 :]
            if behind and not _is(behind[0], b"SETTINGS"):
                break
            name = tokens[index + 1]
            head, tail = text[: tokens[index].start], text[name.end :]
            return Read(_text(head), _text(text[name.start : name.end]), _text(tail))
    return Read(_text(text), "", "")


def _insert(text: bytes, tokens: Iterator[_Token]) -> Insert | Command:
    place = None
    for count, token in enumerate(tokens):
        if count <= _INTO_AND_NAME or token.depth or token.kind != "word" or token.text not in _INSERT_ENDS:
            continue
        place = token.start if place is None else place
        if token.text == b"SETTINGS":
            continue
        if token.text == b"VALUES":
            return Insert(_text(text[:place]), _text(text[place : token.start]), "Values", token.end)
        if token.text == b"FORMAT":
            name = next(tokens, None)
            if name is None:
                break
            start = _data_start(text, name.end)
            return Insert(
                _text(text[:place]),
                _text(text[place : token.start]),
                _text(text[name.start : name.end]),
                start,
            )
        if token.text == b"FROM":
            raise StatementError("FROM INFILE is not allowed")
        return Command(_text(text).rstrip().rstrip(";"))
    return Command(_text(text).rstrip().rstrip(";"))


def _data_start(text: bytes, end: int) -> int:
    """Return where data begins behind `FORMAT name`: behind blanks and a line end or a semicolon."""
    match = re.compile(rb"[ \t]*;?[ \t]*(?:\r?\n)?").match(text, end)
    return match.end() if match else end


def _tokens(text: bytes) -> Iterator[_Token]:
    depth = 0
    for match in _TOKEN.finditer(text):
        kind, piece = match.lastgroup or "other", match.group()
        if kind == "tag":
            kind = "quoted"
        if kind == "blank":
            continue
        if piece in (b")", b"]", b"}"):
            depth -= 1
        yield _Token(kind, piece.upper() if kind == "word" else piece, match.start(), match.end(), depth)
        if piece in (b"(", b"[", b"{"):
            depth += 1


def _is(token: _Token, keyword: bytes) -> bool:
    return token.depth == 0 and token.kind == "word" and token.text == keyword


def _text(piece: bytes) -> str:
    return piece.decode(errors="surrogateescape")
