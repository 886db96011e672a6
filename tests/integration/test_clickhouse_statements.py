"""Finding the clauses of a statement with the engine, and passing on any data completely."""

import io
import json
from http.client import HTTPConnection
from urllib.parse import quote, urlsplit

import fastavro
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deploy.local.clickhouse import faults
from deploy.local.clickhouse.faults import FrontError
from deploy.local.clickhouse.statement import Command, Insert, Read, Statements, parse_row
from tests.support.front import http
from tests.support.stack import Stack


@pytest.fixture(scope="module")
def statements(services: Stack) -> Statements:
    """The front's own statements object, with its engine."""

    def ask(text: str) -> list[object]:
        answer = http(services, "/?default_format=JSONCompactEachRow&max_query_size=10000000", text.encode())
        if answer.status != 200:
            raise faults.from_text(answer.body.decode(errors="replace").rpartition(" (version")[0])
        return parse_row(answer.body)

    return Statements(ask)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"select 1", Read(b"select 1", "", b"")),
        (b"select 1 format JSON;", Read(b"select 1 ", "JSON", b"")),
        (b"select 1 ; -- done", Read(b"select 1", "", b"")),
        (
            b"SELECT 1 FORMAT CSV SETTINGS max_threads = 1",
            Read(b"SELECT 1 ", "CSV", b" SETTINGS max_threads = 1"),
        ),
        (b"select 'a format JSON' -- format CSV\n", Read(b"select 'a format JSON' -- format CSV", "", b"")),
        (b"/* ; */ select `format` from t", Read(b"/* ; */ select `format` from t", "", b"")),
        (b"select 1 as format format TSV", Read(b"select 1 as format ", "TSV", b"")),
        (b"select 1 format /* the */ `TSV`", Read(b"select 1 ", "TSV", b"")),
        (b"with 1 as x select x", Read(b"with 1 as x select x", "", b"")),
        (b"(select 1) union all (select 2)", Read(b"(select 1) union all (select 2)", "", b"")),
        (b"from t select 1", Read(b"from t select 1", "", b"")),
        (b"show tables", Read(b"show tables", "", b"")),
        (b"explain select 1 format JSON", Read(b"explain select 1 ", "JSON", b"")),
        (b"select $a$;$a$", Read(b"select $a$;$a$", "", b"")),
        (b"select 'caf\xe9'", Read(b"select 'caf\xe9'", "", b"")),
        (b"show tables settings max_threads = 1", Command(b"show tables settings max_threads = 1", "SHOW")),
        (
            b"create table t (a Int8) engine=Memory;",
            Command(b"create table t (a Int8) engine=Memory", "CREATE"),
        ),
        (b"insert into t select 1;", Command(b"insert into t select 1", "INSERT")),
        (b"with 1 as x insert into t select x", Command(b"with 1 as x insert into t select x", "INSERT")),
        (
            b"kill query where query_id = 'x'",
            Command(b"kill query where query_id = 'x'", "KILL", ((28, 31),)),
        ),
    ],
)
def test_finds_the_clauses_of_a_query(statements: Statements, text: bytes, expected: object) -> None:
    """FORMAT and SETTINGS are found only outside of strings, names and comments."""
    assert statements.parse(text) == expected


@pytest.mark.parametrize(
    ("text", "head", "middle", "name", "data"),
    [
        (b"insert into t format TSV\n1\t2", b"insert into t ", b"", b"TSV", b"1\t2"),
        (b"INSERT INTO `b c` (x) FORMAT Avro \r\n\0\xff", b"INSERT INTO `b c` (x) ", b"", b"Avro", b"\0\xff"),
        (
            b"insert into t settings max_threads=1 format Native\n\n",
            *(b"insert into t ", b"settings max_threads=1 ", b"Native", b"\n"),
        ),
        (b"insert into t (a)\nvalues\n(1,';')", b"insert into t (a)\n", b"", b"Values", b"\n(1,';')"),
        (b"insert into format format CSV 1", b"insert into format ", b"", b"CSV", b"1"),
        (b"insert into function f('x') values (1)", b"insert into function f('x') ", b"", b"Values", b" (1)"),
    ],
)  # fmt: skip
def test_finds_where_data_begins(
    statements: Statements, text: bytes, head: bytes, middle: bytes, name: bytes, data: bytes
) -> None:
    """Everything after an INSERT's FORMAT or VALUES is data and is not examined."""
    statement = statements.parse(text)

    assert isinstance(statement, Insert)
    assert (statement.head, statement.middle, statement.format) == (head, middle, name)
    assert text[statement.data_start :] == data


@pytest.mark.parametrize(
    "text", [b"", b" ", b"-- nothing", b";", b"select 1; select 2", b"exit", b"\\q", b"?? x"]
)
def test_refuses_no_statement_and_two(statements: Statements, text: bytes) -> None:
    """The HTTP interface runs exactly one statement, and none of the command-line client's own."""
    with pytest.raises(FrontError) as refused:
        statements.parse(text)
    assert refused.value.code == 62


def test_refuses_data_that_the_engine_would_not_read(statements: Statements) -> None:
    """By `input()`: the engine takes it for read, and stores no row."""
    with pytest.raises(FrontError) as refused:
        statements.parse(b"insert into t select a from input('a Int8') format CSV\n1")
    assert refused.value.code == 48


@pytest.mark.parametrize(
    "text",
    [
        "select 1 into outfile '/tmp/x'",
        "select 1 into\u00a0outfile '/tmp/x'",
        "select 1 into/* */outfile \u2018/tmp/x\u2019",
        "create table t (a Int8) engine = Memory INTO OUTFILE '/tmp/x'",
        "create view v as select 1 into outfile '/tmp/x'",
        "insert into t from infile '/etc/passwd' format CSV",
        "insert into t from\u2003infile '/etc/passwd' format CSV",
    ],
)
def test_refuses_files_of_the_machine(statements: Statements, text: str) -> None:
    """In ClickHouse's grammar they are the client's, and the client is on another machine."""
    with pytest.raises(FrontError, match="not allowed"):
        statements.parse(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        b"EXPLAIN AST INSERT INTO t VALUES (1); SELECT 1 INTO OUTFILE '/tmp/x'",
        b"INSERT INTO t VALUES (1); SELECT 1 INTO OUTFILE '/tmp/x'",
    ],
)
def test_what_stands_for_data_is_never_run(statements: Statements, text: bytes) -> None:
    """The embedded client would run a second statement."""
    match statements.parse(text):
        case Read() as read:
            assert b"/tmp/x" not in read.text("path", "", "TSV")
        case Insert() as insert:
            assert b"/tmp/x" not in insert.text("path")
        case Command() as command:
            assert b"/tmp/x" not in command.text


@given(st.binary(max_size=200))
@example(b"'")
@example(b"insert into t format")
@example(b"/*")
@example(b"\xff\xfe")
@example(b"\0")
def test_takes_any_bytes(statements: Statements, text: bytes) -> None:
    """Any input gets an answer, and the client's bytes are preserved."""
    try:
        statement: object = statements.parse(text)
    except FrontError as fault:
        statement = fault

    assert not isinstance(statement, FrontError) or statement.name == "SYNTAX_ERROR"
    assert not isinstance(statement, Read) or text.startswith(statement.head)


@pytest.mark.slow
def test_every_keyword_may_name_a_table(services: Stack) -> None:
    """All kinds of data arrive, after a statement in the URL or in the body."""
    assert http(services, "/", b"CREATE DATABASE words").status == 200
    # Without a database before it, the engine does not accept every word as a name.
    words = b"""
    SELECT DISTINCT lower(arrayJoin(extractAll(keyword, '\\\\w+'))) AS word,
        formatQueryOrNull(concat('INSERT INTO ', word, ' VALUES')) IS NOT NULL
    FROM system.keywords FORMAT JSONCompactEachRow
    """
    connection = HTTPConnection(urlsplit(services.clickhouse_url).netloc, timeout=60)
    failed, rows = [], {}
    for word, can in map(json.loads, http(services, "/", words).body.splitlines()):
        _status(connection, "/", f"CREATE TABLE words.`{word}` (id UInt64) ENGINE = Memory".encode())
        alone = quote(f"INSERT INTO {word} VALUES")
        statuses = [_status(connection, f"/?database=words&query={alone}", b"(7)") == 200]
        for form, data in _ONE_ROW.items():
            statement = f"INSERT INTO words.{word} {form}"
            statuses.append(_status(connection, f"/?query={quote(statement)}", data) == 200)
            statuses.append(_status(connection, "/", f"{statement}\n".encode() + data) == 200)
        if statuses != [can, *[True] * (2 * len(_ONE_ROW))]:
            failed.append((word, statuses))
        rows[word] = sum(statuses)
    connection.close()
    counts = b"SELECT name, total_rows FROM system.tables WHERE database = 'words' FORMAT JSONCompactEachRow"
    counted = dict(map(json.loads, http(services, "/", counts).body.splitlines()))
    http(services, "/", b"DROP DATABASE words")

    assert failed == []
    assert {word: int(count) for word, count in counted.items()} == rows
    assert len(rows) > 500


def _avro() -> bytes:
    schema = fastavro.parse_schema(
        {"type": "record", "name": "r", "fields": [{"name": "id", "type": "long"}]}
    )
    file = io.BytesIO()
    fastavro.writer(file, schema, [{"id": 7}])
    return file.getvalue()


_NATIVE = b"\x01\x01\x02id\x06UInt64" + (7).to_bytes(8, "little")
_ONE_ROW = {
    "VALUES": b"(7)",
    "FORMAT JSONEachRow": b'{"id": 7}',
    "FORMAT Native": _NATIVE,
    "FORMAT Avro": _avro(),
}


def _status(connection: HTTPConnection, path: str, body: bytes) -> int:
    connection.request("POST", path, body)
    answer = connection.getresponse()
    answer.read()
    return answer.status
