"""Format Native as the engine writes it -> Native as expected by a client with `client_protocol_version`.

For such clients a server writes BlockInfo before each block and, from revision 54454 on, one byte after each
column's type: 0, for default serialization. The engine writes neither. Only the types tell where a column
ends, so its data is walked but not decoded. Unsupported types are refused. Inserts are unaffected: a server
reads them without a revision. Source: ClickHouse's NativeWriter and the serializations of its types; checked
with clickhouse-go in test-clients.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deploy.local.clickhouse.faults import FrontError

Read = Callable[[int], bytes]  # at most this many bytes; none at the end
Write = Callable[[bytes], object]

REVISION_WITH_SERIALIZATION = 54454
CUT = 33  # code of the fault for truncated data
_BLOCK_INFO = bytes([1, 0, 2, 0xFF, 0xFF, 0xFF, 0xFF, 0])  # not an overflow block, no bucket
_PIECE_BYTES = 256 * 1024
_VARINT_SHIFT_MAX = 63
# Bytes per value.
_WIDTHS = {f"{sign}Int{bits}": bits // 8 for sign in ("", "U") for bits in (8, 16, 32, 64, 128, 256)}
_WIDTHS |= {"Bool": 1, "Nothing": 1, "Enum8": 1, "Enum16": 2, "BFloat16": 2, "Float32": 4, "Float64": 8}
_WIDTHS |= {"Date": 2, "Date32": 4, "DateTime": 4, "DateTime64": 8, "Time": 4, "Time64": 8}
_WIDTHS |= {"UUID": 16, "IPv4": 4, "IPv6": 16}
_INTERVAL_BYTES = 8
_JSON_AS_TEXT = 1  # written by the engine with output_format_native_write_json_as_string
_GEO = {
    "Point": "Tuple(Float64, Float64)",
    "Ring": "Array(Point)",
    "LineString": "Array(Point)",
    "MultiPoint": "Array(Point)",
    "Polygon": "Array(Ring)",
    "MultiLineString": "Array(LineString)",
    "MultiPolygon": "Array(Polygon)",
}
_DECIMAL_BYTES = ((9, 4), (18, 8), (38, 16), (76, 32))  # (maximum digits, bytes)
# Flags of a LowCardinality block: the index width in the lowest byte, and whether it has keys.
_HAS_KEYS = 1 << 9
_PART = re.compile(r"'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`|[^'`]", re.DOTALL)


def frame(read: Read, write: Write, revision: int) -> None:
    """Write the engine's blocks for a client of `revision`. Raises: FrontError."""
    stream = _Stream(read, write)
    while not stream.at_end():
        write(_BLOCK_INFO)
        for _ in _columns(stream):
            stream.flush()
            if revision >= REVISION_WITH_SERIALIZATION:
                write(b"\0")


def _columns(stream: "_Stream") -> Iterator[None]:
    """Walk one block; yield between each column's type and its data."""
    columns, rows = stream.varint(), stream.varint()
    for _ in range(columns):
        stream.text()
        kind = _type(stream.text())
        yield
        if rows:
            _prefix(stream, kind)
            _data(stream, kind, rows)
    stream.flush()


@dataclass(frozen=True, slots=True)
class _Type:
    """A type such as `Array(String)`: its name and arguments."""

    name: str
    arguments: tuple[str, ...]

    def inner(self) -> Iterator["_Type"]:
        """Yield the types of the arguments."""
        for argument in self.arguments:
            pieces = _split(argument, " ") if self.name in ("Tuple", "Nested") else [argument]
            yield _type(pieces[-1])


def _type(text: str) -> _Type:
    name, bracket, rest = _GEO.get(text, text).partition("(")
    arguments = tuple(_split(rest[:-1], ",")) if bracket else ()
    if name == "Nested":
        return _Type("Array", (f"Tuple({', '.join(arguments)})",))
    if name == "Map":
        return _Type("Array", (f"Tuple({', '.join(arguments)})",))
    if name == "SimpleAggregateFunction":
        return _type(arguments[1])
    return _Type(name, arguments)


def _split(text: str, separator: str) -> list[str]:
    """Split outside of brackets and quotes."""
    found, depth = [""], 0
    for part in _PART.findall(text):
        depth += (part == "(") - (part == ")")
        if part == separator and not depth:
            found.append("")
        else:
            found[-1] += part
    return [part.strip() for part in found if part.strip()]


def _prefix(stream: "_Stream", kind: _Type) -> None:
    """Walk the prefix of a column's data: the versions of its dictionaries."""
    if kind.name == "LowCardinality":
        stream.skip(8)
    elif kind.name == "JSON":
        if stream.number(8) != _JSON_AS_TEXT:
            raise _unsupported("the type JSON but as text")
    elif kind.name in ("Array", "Tuple", "Nullable"):
        for inner in kind.inner():
            _prefix(stream, inner)


def _data(stream: "_Stream", kind: _Type, rows: int) -> None:
    match kind.name:
        case "String" | "JSON":
            stream.strings(rows)
        case "Nullable":
            stream.skip(rows)
            _data(stream, _type(kind.arguments[0]), rows)
        case "Array":
            stream.skip(8 * (rows - 1))
            if total := stream.number(8):
                _data(stream, _type(kind.arguments[0]), total)
        case "Tuple":
            for inner in kind.inner():
                _data(stream, inner, rows)
        case "LowCardinality":
            _dictionary(stream, _type(kind.arguments[0]))
        case _:
            stream.skip(rows * _width(kind))


def _dictionary(stream: "_Stream", kind: _Type) -> None:
    """Walk a LowCardinality block: flags, keys, indexes."""
    flags = stream.number(8)
    if flags & _HAS_KEYS and (keys := stream.number(8)):
        _data(stream, _type(kind.arguments[0]) if kind.name == "Nullable" else kind, keys)
    stream.skip(stream.number(8) << (flags & 0xFF))


def _width(kind: _Type) -> int:
    if kind.name == "FixedString":
        return int(kind.arguments[0])
    if kind.name == "Decimal":
        return next(size for digits, size in _DECIMAL_BYTES if int(kind.arguments[0]) <= digits)
    if kind.name.startswith("Interval"):
        return _INTERVAL_BYTES
    if kind.name not in _WIDTHS:
        raise _unsupported(f"the type {kind.name}")
    return _WIDTHS[kind.name]


class _Stream:
    """Bytes that are walked, then written unchanged."""

    def __init__(self, read: Read, write: Write) -> None:
        self._read = read
        self._write = write
        self._bytes = bytearray()
        self._at = 0

    def at_end(self) -> bool:
        """Return whether the data ends here."""
        return self._at == len(self._bytes) and not self._more()

    def flush(self) -> None:
        """Write the bytes walked so far."""
        self._write(bytes(self._bytes[: self._at]))
        del self._bytes[: self._at]
        self._at = 0

    def skip(self, size: int) -> None:
        """Walk `size` bytes."""
        self._at += size
        while len(self._bytes) < self._at:
            self._need_more()

    def number(self, size: int) -> int:
        """Walk an unsigned number of `size` bytes and return it."""
        self.skip(size)
        return int.from_bytes(self._bytes[self._at - size : self._at], "little")

    def varint(self) -> int:
        """Walk a number with 7 bits per byte and return it."""
        value = 0
        for shift in range(0, _VARINT_SHIFT_MAX, 7):
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:  # noqa: PLR2004 - the highest bit means that more bytes follow
                return value
        raise _broken("a number has too many bytes")

    def text(self) -> str:
        """Walk a text and return it."""
        size = self.varint()
        self.skip(size)
        return self._bytes[self._at - size : self._at].decode(errors="surrogateescape")

    def strings(self, count: int) -> None:
        """Walk `count` texts: the only loop over rows, so short texts need no call."""
        data, at = self._bytes, self._at
        for _ in range(count):
            while at >= len(data):
                self._need_more()
            size = data[at]
            if size < 0x80:  # noqa: PLR2004
                at += 1 + size
            else:
                self._at = at
                size = self.varint()
                at = self._at + size
        self._at = at
        self.skip(0)

    def _need_more(self) -> None:
        if not self._more():
            raise FrontError(CUT, "CANNOT_READ_ALL_DATA", "The data in format Native ends too early")

    def _more(self) -> bool:
        piece = self._read(_PIECE_BYTES)
        self._bytes += piece
        return bool(piece)


def _broken(why: str) -> FrontError:
    return FrontError(117, "INCORRECT_DATA", f"The data in format Native is broken: {why}")


def _unsupported(what: str) -> FrontError:
    detail = f"This front cannot write {what} in format Native for a client with client_protocol_version"
    return FrontError(48, "NOT_IMPLEMENTED", detail)
