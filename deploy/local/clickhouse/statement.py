"""The text of one query -> where the front may put `INTO OUTFILE` or `FROM INFILE` into it.

Invariants: the engine parses, never the front: it tells which bytes are keywords and names, and what the text
means; what the front writes between them counts only if the engine finds it where it belongs. All other
bytes stay as the client sent them, so the engine reports its faults in the client's words. Of an INSERT's
data nothing is looked at.
Source: ClickHouse's functions highlightQuery and formatQuery; a server's rule for where data begins behind
FORMAT is in its src/Parsers/ParserInsertQuery.cpp.
"""

import json
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deploy.local.clickhouse.faults import FrontError

# First words, in the engine's own writing, of statements that answer with rows and change nothing.
READS = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "EXISTS", "EXPLAIN"})
# Texts up to this are remembered, so many of them: loaders and dashboards send the same ones again.
_REMEMBERED_BYTES_MAX, _REMEMBERED_MAX = 8 * 1024, 512
# An INSERT has its data's format behind the keywords of its head; more are inside of names and arguments.
_PLACES_MAX = 32

# What the engine knows of a text: how it would write it; where it ends, data excluded; its words.
_ASK = """\
SELECT extract(formatQuerySingleLine(text) AS written, '\\\\w+') AS kind,
  highlightQuery(text) AS parts, parts[-1].2 AS end,
  formatQuerySingleLineOrNull(concat(text, '\\n(;')) = written AS takes_data,
  takes_data AND formatQuerySingleLineOrNull(substring(text, 1, end)) = written AS is_whole,
  arrayMap(part -> (part.1, part.2, part.3), arrayFilter(part -> part.3 IN ('keyword', 'identifier')
    OR (part.3 = 'string' AND kind = 'KILL')
    OR (part.3 = 'function' AND substring(text, part.1 + 1, part.2 - part.1) = 'input'), parts))
FROM (SELECT unhex('{text}') AS text)"""
_ASK_WRITTEN = "SELECT arrayMap(text -> formatQuerySingleLineOrNull(unhex(text)), {texts})"
_ASK_END = (
    "SELECT arrayFilter(token -> token.3 NOT IN ('Whitespace', 'Comment', 'Semicolon'),"
    " tokenizeQuery(unhex('{text}')))[-1].2"
)

Ask = Callable[[str], list[object]]
_Part = tuple[int, int, str]


@dataclass(frozen=True, slots=True)
class Read:
    """A query whose rows are streamed: `head` INTO OUTFILE ... FORMAT `format` `tail`."""

    head: bytes
    format: str  # "" when the text names none
    tail: bytes  # a SETTINGS clause that stood behind FORMAT

    def text(self, path: str, compression: str, default_format: str) -> bytes:
        """Return the query that writes its rows to `path`."""
        how = f" COMPRESSION '{compression}'" if compression else ""
        outfile = f"INTO OUTFILE '{path}' TRUNCATE{how} FORMAT {self.format or default_format}"
        return self.head + b"\n" + outfile.encode() + self.tail


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT with data: `head` FROM INFILE ... `middle` FORMAT `format`, then the data."""

    head: bytes
    middle: bytes  # SETTINGS, or a SELECT from input()
    format: bytes
    data_start: int  # index of the first byte of data behind the statement; its length when there is none

    def text(self, path: str) -> bytes:
        """Return the query that reads its data from `path`."""
        infile = f"FROM INFILE '{path}' ".encode()
        return self.head + b"\n" + infile + self.middle + b" FORMAT " + self.format


@dataclass(frozen=True, slots=True)
class Command:
    """Anything else: small or no output."""

    text: bytes
    kind: str  # its first word
    strings: tuple[tuple[int, int], ...] = ()  # of a KILL: where its quoted strings are


Statement = Read | Insert | Command


@dataclass(frozen=True, slots=True)
class _Parsed:
    kind: str
    end: int  # of the last word; for an INSERT what follows may be data
    takes_data: bool  # anything may follow `end`, which is not looked into
    parts: tuple[_Part, ...]


class Statements:
    """Parses by `ask`, which has the engine answer a query with one row; safe to use from many threads."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: OrderedDict[bytes, Statement] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, text: bytes) -> Statement | None:
        """Return what `text` is, if it was parsed lately."""
        with self._lock:
            statement = self._known.get(text)
            if statement:
                self._known.move_to_end(text)
            return statement

    def parse(self, text: bytes) -> Statement:
        """Return what `text` is; for an INSERT it may go on with data. Raises: FrontError."""
        line = text[: text.find(b"\n") + 1 or len(text)]
        # Clients that send statement and data in one body end the statement's line.
        if len(line) < len(text):
            try:
                statement = self._remembered(line)
            except FrontError:
                pass
            else:
                if isinstance(statement, Insert):
                    return statement
        return self._remembered(text)

    def _remembered(self, text: bytes) -> Statement:
        known = self.known(text)
        if known:
            return known
        statement = self._parse(text)
        if len(text) <= _REMEMBERED_BYTES_MAX:
            with self._lock:
                self._known[text] = statement
                if len(self._known) > _REMEMBERED_MAX:
                    self._known.popitem(last=False)
        return statement

    def _parse(self, text: bytes) -> Statement:
        parsed = self._parsed(text)
        _refuse_files(text, parsed.parts)
        insert = self._insert(text, parsed) if parsed.kind == "INSERT" and parsed.takes_data else None
        if insert:
            return insert
        if parsed.takes_data:
            # A second statement could stand there, for the embedded client runs more than one.
            text = text[: parsed.end]
        read = self._read(text, parsed) if parsed.kind in READS else None
        if read:
            return read
        strings = tuple((start, end) for start, end, role in parsed.parts if role == "string")
        return Command(_without_semicolon(text), parsed.kind, strings)

    def _parsed(self, text: bytes) -> _Parsed:
        kind, _, end, takes_data, is_whole, parts = self._ask(_ASK.format(text=text.hex()))
        assert isinstance(end, int)
        assert isinstance(parts, list)
        if takes_data and not is_whole:
            raise _no_place()
        return _Parsed(str(kind), end, bool(takes_data), tuple((part[0], part[1], part[2]) for part in parts))

    def _read(self, text: bytes, parsed: _Parsed) -> Read | None:
        for end in self._ends(text):
            read = _cut_at_format(text[:end], parsed.parts)
            mark = secrets.token_hex(8)
            if self._is_written([read.text(mark, "", "Null")], f"INTO OUTFILE '{mark}'") == 0:
                return read
        return None

    def _ends(self, text: bytes) -> Iterator[int]:
        """Yield where a query may end, without semicolons."""
        yield len(_without_semicolon(text))
        (end,) = self._ask(_ASK_END.format(text=text.hex()))
        assert isinstance(end, int)
        yield end

    def _insert(self, text: bytes, parsed: _Parsed) -> Insert | None:
        words = [(start, end, _word(text, (start, end, role))) for start, end, role in parsed.parts]
        (name_start, name_end, name), (format_start, _, before) = words[-1], words[-2]
        if name == b"VALUES":
            format_start, form, data_start = name_start, b"Values", name_end
        elif before == b"FORMAT":
            form, data_start = text[name_start:name_end], _data_start(text, name_end)
        else:
            raise _no_place()
        is_select = any(word == b"SELECT" for _, _, word in words)
        if is_select and not any(role == "function" for _, _, role in parsed.parts):
            return None
        places = [start for start, _, word in words[1:] if word and start <= format_start][:_PLACES_MAX]
        inserts = [Insert(text[:at], text[at:format_start], form, data_start) for at in places]
        mark = secrets.token_hex(8)
        index = self._is_written([insert.text(mark) for insert in inserts], f"FROM INFILE '{mark}'")
        if index is None:
            raise _no_place()
        return inserts[index]

    def _is_written(self, texts: list[bytes], clause: str) -> int | None:
        """Return the index of the first text in which the engine, too, finds `clause`; None if in none."""
        (written,) = self._ask(_ASK_WRITTEN.format(texts=[text.hex() for text in texts]))
        assert isinstance(written, list)
        return next((index for index, text in enumerate(written) if text and clause in text), None)


def parse_row(output: bytes) -> list[object]:
    """Return the row that the engine's answer to a question is, in the format JSONCompactEachRow."""
    row = json.loads(output.decode(errors="replace"))
    assert isinstance(row, list)
    return row


def _no_place() -> FrontError:
    return FrontError(62, "SYNTAX_ERROR", "Syntax error: where the data begins cannot be found.")


def _without_semicolon(text: bytes) -> bytes:
    return text.rstrip(b"; \t\r\n\f\v")


def _refuse_files(text: bytes, parts: tuple[_Part, ...]) -> None:
    for part in parts:
        word = _word(text, part)
        if word.startswith(b"INTO") and word.endswith(b"OUTFILE"):
            raise FrontError(237, "INTO_OUTFILE_NOT_ALLOWED", "INTO OUTFILE is not allowed")
        if word.endswith(b"INFILE"):
            raise FrontError(78, "UNKNOWN_TYPE_OF_QUERY", "FROM INFILE is not allowed")


def _cut_at_format(text: bytes, parts: tuple[_Part, ...]) -> Read:
    for index in range(len(parts) - 2, -1, -1):
        name_start, name_end, role = parts[index + 1]
        if _word(text, parts[index]) == b"FORMAT" and role == "identifier":
            return Read(
                text[: parts[index][0]], text[name_start:name_end].strip(b'`"').decode(), text[name_end:]
            )
    return Read(text, "", b"")


def _data_start(text: bytes, end: int) -> int:
    """Return where data begins behind `FORMAT name`: behind blanks and one line end."""
    match = re.compile(rb"[ \t\f]*\r?\n?").match(text, end)
    return match.end() if match else end


def _word(text: bytes, part: _Part) -> bytes:
    """Return a keyword in upper case; nothing for any other part."""
    start, end, role = part
    return text[start:end].upper() if role == "keyword" else b""
