"""Native with and without a client's protocol revision, on the real engine's output."""

import io
import re

import chdb
import pytest

from deploy.local.clickhouse import native
from deploy.local.clickhouse.faults import FrontError

REVISION = 54460  # clickhouse-go's
VALUES = (
    "number",
    "toString(number)",
    "repeat('long', number % 200)",
    "if(number % 3 = 0, NULL, number)",
    "toLowCardinality(toString(number % 300))",
    "CAST(if(number % 2 = 0, NULL, toString(number)), 'LowCardinality(Nullable(String))')",
    "range(number % 5)",
    "arrayMap(x -> toString(x), range(number % 5))",
    "CAST(arrayMap(x -> toString(x), range(number % 3)), 'Array(LowCardinality(String))')",
    "CAST([], 'Array(LowCardinality(String))')",
    "[[[toString(number)]], []]",
    "map('a', number, 'b', 1)",
    "CAST(map('a', ['b']), 'Map(LowCardinality(String), Array(Nullable(String)))')",
    "tuple(number, toString(number), [1])",
    "CAST((1, 'x'), 'Tuple(`odd, (name` UInt8, b String)')",
    "CAST((1, 'x'), 'Tuple(a Nullable(UInt8), b LowCardinality(String))')",
    "CAST([(1, 'x')], 'Nested(a UInt8, b String)')",
    "CAST(number % 2 = 0 ? 'a,)' : 'b', 'Enum8(\\'a,)\\' = 1, \\'b\\' = 2)')",
    "toFixedString('abc', 5)",
    "CAST(number, 'SimpleAggregateFunction(sum, UInt64)')",
    *(f"CAST(0, 'Decimal({digits}, 2)')" for digits in (9, 18, 38, 76)),
    "toDateTime64(0, 3, 'Europe/Berlin')",
    "toDateTime(0, 'UTC')",
    "toDate32(0)",
    "generateUUIDv4()",
    "toIPv4('1.2.3.4')",
    "toIPv6('::1')",
    "toIntervalDay(1)",
    "toInt256(1)",
    "true",
    "NULL",
    "CAST((1, 2), 'Point')",
    "CAST([[(1, 2)]], 'Polygon')",
    "CAST([(1, 2)], 'MultiPoint')",
    "CAST([(1, 2)], 'LineString')",
    "CAST([(1, 2)], 'Ring')",
    "CAST([[(1, 2)]], 'MultiLineString')",
    "CAST([[[(1, 2)]]], 'MultiPolygon')",
    *(
        f"CAST(0, '{name}')"
        for name in (
            "Int8",
            "Int16",
            "Int32",
            "Int64",
            "Int128",
            "UInt16",
            "UInt32",
            "UInt128",
            "UInt256",
            "Date",
        )
    ),
    "toTime(toDateTime(0, 'UTC'))",
    "CAST(0, 'Time')",
    "CAST(0, 'Time64(3)')",
    "CAST(1, 'BFloat16')",
    "CAST(1, 'Float32')",
    "toFloat64(1)",
    "CAST('a', 'Enum16(\\'a\\' = 1)')",
)
# The engine's own names for these types, or types that it never names.
ALIASES = {"DateTime32", "Decimal32", "Decimal64", "Decimal128", "Decimal256", "Enum"}
REFUSED = {"AggregateFunction", "Dynamic", "Geometry", "JSON", "QBit", "Variant"}


def engine(sql: str) -> bytes:
    """Return the engine's output, in blocks of 1,000 rows."""
    return bytes(chdb.query(f"{sql} SETTINGS max_block_size = 1000", "Native").bytes())  # type: ignore[no-untyped-call]


def chdb_type(value: str) -> str:
    """Return the type of an expression."""
    return str(chdb.query(f"SELECT toTypeName({value}) FROM numbers(1)", "TSV").data())  # type: ignore[no-untyped-call]


def framed(data: bytes, revision: int = REVISION) -> bytes:
    """Return it with a revision's additions."""
    out = io.BytesIO()
    native.frame(io.BytesIO(data).read, out.write, revision)
    return out.getvalue()


@pytest.mark.parametrize("value", VALUES)
def test_every_column_is_found(value: str) -> None:
    """Between two columns with known bytes; the number of blocks is the engine's."""
    data = engine(f"SELECT 'first' AS a, {value} AS b, 'last' AS c FROM numbers(2500)")
    got = framed(data)

    blocks = data.count(b"\x01a\x06String")
    assert got.count(b"\x01\x00\x02\xff\xff\xff\xff\x00\x03") == blocks > 1
    assert got.count(b"\x01a\x06String\x00\x05first") == got.count(b"\x01c\x06String\x00\x04last") == blocks
    assert len(got) == len(data) + blocks * (8 + 3)


def test_every_type_of_the_engine_is_tried_or_refused() -> None:
    """A new type of the engine fails this test: support or refuse it."""
    families = "SELECT name FROM system.data_type_families WHERE alias_to = ''"
    known = {*chdb.query(families, "TSV").data().split()}  # type: ignore[no-untyped-call]
    tried = {name for value in VALUES for name in re.findall(r"\w+", chdb_type(value))}

    assert {name for name in known - tried if not name.startswith("Interval")} == ALIASES | REFUSED


def test_an_older_client_gets_the_block_info_alone() -> None:
    """As requested by clickhouse-connect: 54405."""
    data = engine("SELECT 1 AS a")

    assert framed(data, 54405) == b"\x01\x00\x02\xff\xff\xff\xff\x00" + data


def test_a_block_without_rows_has_columns_all_the_same() -> None:
    """Clients read the columns from it."""
    data = b"\x01\x00\x01a\x16LowCardinality(String)"

    assert framed(data)[8:] == data + b"\x00"
    assert framed(b"") == b""


def test_data_that_is_cut_is_refused() -> None:
    """At any byte except the last: code 33, and no endless loop."""
    data = engine("SELECT 'text' AS a, [toLowCardinality('b')] AS b")
    for size in range(1, len(data)):
        with pytest.raises(FrontError) as caught:
            framed(data[:size])
        assert caught.value.code == 33


@pytest.mark.parametrize(
    "value", ["CAST('{}', 'JSON')", "CAST(1, 'Dynamic')", "CAST(1, 'Variant(UInt8, String)')", "sumState(1)"]
)
def test_what_cannot_be_walked_is_refused_by_its_name(value: str) -> None:
    """Never a wrong column."""
    data = engine(f"SELECT {value} AS a")
    with pytest.raises(FrontError) as caught:
        framed(data)

    assert caught.value.code == 48
    assert re.search(r"the type (JSON|Dynamic|Variant|AggregateFunction)", caught.value.detail)
