"""Where the front finds the clauses of a query."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from deploy.local.clickhouse.statement import Command, Insert, Read, StatementError, is_insert, parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"select 1", Read("select 1", "", "")),
        (b"select 1 format JSON;", Read("select 1 ", "JSON", "")),
        (
            b"SELECT 1 FORMAT CSV SETTINGS max_threads = 1",
            Read("SELECT 1 ", "CSV", " SETTINGS max_threads = 1"),
        ),
        (b"select 'a format JSON' -- format CSV\n", Read("select 'a format JSON'", "", "")),
        (b"/* ; */ select `format` from t -- x", Read("/* ; */ select `format` from t", "", "")),
        (b"select * from (select 1 format) format TSV", Read("select * from (select 1 format) ", "TSV", "")),
        (b"with 1 as x select x", Read("with 1 as x select x", "", "")),
        (b"(select 1) union all (select 2)", Read("(select 1) union all (select 2)", "", "")),
        (b"show tables", Read("show tables", "", "")),
        (b"select $a$;$a$", Read("select $a$;$a$", "", "")),
        (b"create table t (a Int8) engine = Memory;", Command("create table t (a Int8) engine = Memory")),
        (b"insert into t select 1;", Command("insert into t select 1")),
        (b"with 1 as x insert into t select x", Command("with 1 as x insert into t select x")),
        (b"kill query where 1", Command("kill query where 1")),
    ],
)
def test_finds_the_clauses_of_a_query(text: bytes, expected: object) -> None:
    """FORMAT and SETTINGS are found outside strings, names and comments only."""
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "head", "settings", "name", "data"),
    [
        (b"insert into t format TSV\n1\t2", "insert into t ", "", "TSV", b"1\t2"),
        (b"INSERT INTO `b c` (x) FORMAT Avro \r\n\0\xff", "INSERT INTO `b c` (x) ", "", "Avro", b"\0\xff"),
        (b"insert into t settings a=1 format Native\n\n", "insert into t ", "settings a=1 ", "Native", b"\n"),
        (b"insert into t (a) values (1,';')", "insert into t (a) ", "", "Values", b" (1,';')"),
        (b"insert into format format CSV 1", "insert into format ", "", "CSV", b"1"),
        (b"insert into function f('g') values (1)", "insert into function f('g') ", "", "Values", b" (1)"),
    ],
)  # fmt: skip
def test_finds_where_data_begins(text: bytes, head: str, settings: str, name: str, data: bytes) -> None:
    """What follows an INSERT's FORMAT or VALUES is data and is not looked into."""
    statement = parse(text)

    assert isinstance(statement, Insert)
    assert (statement.head, statement.settings, statement.format) == (head, settings, name)
    assert text[statement.data_start :] == data


@pytest.mark.parametrize("text", [b"", b" ", b"-- nothing", b";", b"select 1; select 2"])
def test_refuses_no_statement_and_two(text: bytes) -> None:
    """The HTTP interface runs exactly one statement."""
    with pytest.raises(StatementError):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        b"select 1 into outfile '/tmp/x'",
        b"create table t (a Int8) engine = Memory INTO OUTFILE '/tmp/x'",
        b"insert into t from infile '/etc/passwd' format CSV",
    ],
)
def test_refuses_files_of_the_machine(text: bytes) -> None:
    """They are the client's in ClickHouse's grammar, and the client is elsewhere."""
    with pytest.raises(StatementError, match="not allowed"):
        parse(text)


@given(st.binary(max_size=200))
@example(b"'")
@example(b"insert into t format")
@example(b"/*")
def test_takes_any_bytes(text: bytes) -> None:
    """Whatever is sent, the parser answers, and keeps the client's bytes."""
    try:
        statement = parse(text)
    except StatementError:
        return

    assert isinstance(statement, Insert) or not is_insert(text) or isinstance(statement, Command)
    if isinstance(statement, Read):
        assert text.startswith(statement.head.encode(errors="surrogateescape"))
