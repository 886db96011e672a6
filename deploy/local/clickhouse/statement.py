"""The text of one query -> the place where the front may insert `INTO OUTFILE` or `FROM INFILE`.

Invariants: only the engine parses: it reports which bytes are keywords and names, and what the text means. An
insertion counts only if the engine finds it in its place. All other bytes stay as sent, so the engine's
errors match the client's text. The data of an INSERT is not examined. Source: ClickHouse's functions
highlightQuery and formatQuery; where data starts after FORMAT is defined in a server's
src/Parsers/ParserInsertQuery.cpp.
"""

import json
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deploy.local.clickhouse.faults import FrontError

# First words, as the engine writes them, of statements that return rows and change nothing.
READS = frozenset({"SELECT", "WITH", "SHOW", "DESCRIBE", "EXISTS", "EXPLAIN"})
# Texts up to this size are cached, this many of them: loaders and dashboards repeat theirs.
_REMEMBERED_BYTES_MAX, _REMEMBERED_MAX = 8 * 1024, 512
# An INSERT names its format after the keywords of its head; more keywords are inside names and arguments.
_PLACES_MAX = 32

# The engine's analysis of a text: its formatted form; its end, without data; its words.
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
    format: str  # "" if the text names none
    tail: bytes  # a SETTINGS clause after FORMAT

    def text(self, path: str, compression: str, default_format: str) -> bytes:
        """Return the query that writes its rows to `path`."""
        how = f" COMPRESSION '{compression}'" if compression else ""
        outfile = f"INTO OUTFILE '{path}' TRUNCATE{how} FORMAT {self.format or default_format}"
        return self.head + b"\n" + outfile.encode() + self.tail


@dataclass(frozen=True, slots=True)
class Insert:
    """An INSERT with data: `head` FROM INFILE ... `middle` FORMAT `format`, then the data."""

    head: bytes
    middle: bytes  # SETTINGS
    format: bytes
    data_start: int  # index of the first byte of data after the statement, or the statement's length

    def text(self, path: str) -> bytes:
        """Return the query that reads its data from `path`."""
        infile = f"FROM INFILE '{path}' ".encode()
        return self.head + b"\n" + infile + self.middle + b" FORMAT " + self.format


@dataclass(frozen=True, slots=True)
class Command:
    """Any other statement: little or no output."""

    text: bytes
    kind: str  # its first word
    strings: tuple[tuple[int, int], ...] = ()  # positions of the quoted strings, for a KILL


Statement = Read | Insert | Command


@dataclass(frozen=True, slots=True)
class _Parsed:
    kind: str
    end: int  # of the last word; an INSERT may have data after it
    takes_data: bool  # anything may follow `end`, and is not examined
    parts: tuple[_Part, ...]


class Statements:
    """Parses with `ask`, which runs a query with a one-row answer; thread-safe."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._known: OrderedDict[bytes, Statement] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, text: bytes) -> Statement | None:
        """Return the cached statement of `text`, if any."""
        with self._lock:
            statement = self._known.get(text)
            if statement:
                self._known.move_to_end(text)
            return statement

    def parse(self, text: bytes) -> Statement:
        """Parse `text`; an INSERT may be followed by data. Raises: FrontError."""
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
            # A second statement could follow, and the embedded client runs more than one.
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
        """Yield possible ends of a query, without semicolons."""
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
        if is_select:
            _refuse_input()
        places = [start for start, _, word in words[1:] if word and start <= format_start][:_PLACES_MAX]
        inserts = [Insert(text[:at], text[at:format_start], form, data_start) for at in places]
        mark = secrets.token_hex(8)
        index = self._is_written([insert.text(mark) for insert in inserts], f"FROM INFILE '{mark}'")
        if index is None:
            raise _no_place()
        return inserts[index]

    def _is_written(self, texts: list[bytes], clause: str) -> int | None:
        """Return the index of the first text in which the engine also finds `clause`, or None."""
        (written,) = self._ask(_ASK_WRITTEN.format(texts=[text.hex() for text in texts]))
        assert isinstance(written, list)
        return next((index for index, text in enumerate(written) if text and clause in text), None)


def parse_row(output: bytes) -> list[object]:
    """Parse the engine's one-row answer in the format JSONCompactEachRow."""
    row = json.loads(output.decode(errors="replace"))
    assert isinstance(row, list)
    return row


def _no_place() -> FrontError:
    return FrontError(62, "SYNTAX_ERROR", "Syntax error: cannot find where the data begins.")


def _without_semicolon(text: bytes) -> bytes:
    return text.rstrip(b"; \t\r\n\f\v")


def _refuse_files(text: bytes, parts: tuple[_Part, ...]) -> None:
    for part in parts:
        word = _word(text, part)
        if word.startswith(b"INTO") and word.endswith(b"OUTFILE"):
            raise FrontError(237, "INTO_OUTFILE_NOT_ALLOWED", "INTO OUTFILE is not allowed")
        if word.endswith(b"INFILE"):
            raise FrontError(78, "UNKNOWN_TYPE_OF_QUERY", "FROM INFILE is not allowed")


def _refuse_input() -> None:
    # The embedded engine takes the data for read, and inserts nothing.
    raise FrontError(48, "NOT_IMPLEMENTED", "input() is not supported here: insert into the table itself")


def _cut_at_format(text: bytes, parts: tuple[_Part, ...]) -> Read:
    for index in range(len(parts) - 2, -1, -1):
        name_start, name_end, role = parts[index + 1]
        if _word(text, parts[index]) == b"FORMAT" and role == "identifier":
            return Read(
                text[: parts[index][0]], text[name_start:name_end].strip(b'`"').decode(), text[name_end:]
            )
    return Read(text, "", b"")


def _data_start(text: bytes, end: int) -> int:
    """Return where data starts after `FORMAT name`: after blanks and one line end."""
    match = re.compile(rb"[ \t\f]*\r?\n?").match(text, end)
    return match.end() if match else end


def _word(text: bytes, part: _Part) -> bytes:
    """Return a keyword in upper case; empty for any other part."""
    start, end, role = part
    return text[start:end].upper() if role == "keyword" else b""
