"""The ClickHouse front, used by clickhouse-connect's own HTTP client and by plain HTTP."""

import gzip
import io
import json
import re
import socket
import struct
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import datetime
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import fastavro
import lz4.block
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from clickhouse_cityhash.cityhash import CityHash128
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from tests.support.front import Answer, connect, http
from tests.support.stack import Stack
from tests.support.waiting import eventually, patience

PASSWORD = "secret"  # noqa: S105 - of these tests
FORM = {"Content-Type": "multipart/form-data; boundary=x"}
ENDLESS = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"


@pytest.fixture
def client(services: Stack) -> Iterator[Client]:
    """A client with a database `front` and an empty table `front.t`."""
    client = connect(services)
    client.command("CREATE DATABASE IF NOT EXISTS front")
    client.command("DROP TABLE IF EXISTS front.t SYNC")
    columns = "id UInt64, name String, value Nullable(Float64)"
    client.command(f"CREATE TABLE front.t ({columns}) ENGINE = MergeTree ORDER BY id")
    yield client
    client.close()


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A front with tight limits and a password."""
    limits = {
        "CLICKHOUSE_PASSWORD": PASSWORD,
        "CLICKHOUSE_SESSIONS_MAX": "2",
        "CLICKHOUSE_HOSTNAMES": "warehouse.lan, other.lan",
        "CLICKHOUSE_QUERIES_MAX": "2",
        "CLICKHOUSE_QUERY_SECONDS_MAX": "3",
        "CLICKHOUSE_QUERY_MEMORY_BYTES_MAX": str(100 << 20),
        "CLICKHOUSE_RESULT_BYTES_MAX": str(10 << 20),
        "CLICKHOUSE_BODY_BYTES_MAX": str(1 << 20),
    }
    stack = Stack(tmp_path_factory.mktemp("small"), "clickhouse", limits).start()
    yield stack
    stack.stop()


def running(client: Client, text: str) -> int:
    """Return the number of running queries that start with `text`."""
    query = "SELECT count() FROM system.processes WHERE query LIKE concat({text:String}, '%')"
    # The engine rewrites a query with parameters, with brackets around its conditions.
    return int(client.query(query, parameters={"text": text.partition(" WHERE ")[0]}).result_rows[0][0])


def avro(rows: int) -> bytes:
    """Return an Avro container for the table `front.t`."""
    fields = [{"name": "id", "type": "long"}, {"name": "name", "type": "string"}]
    schema = fastavro.parse_schema({"type": "record", "name": "r", "fields": fields})
    file = io.BytesIO()
    fastavro.writer(file, schema, ({"id": number, "name": f"n{number}"} for number in range(rows)))
    return file.getvalue()


@pytest.mark.parametrize("path", ["/ping", "/", "/replicas_status"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_is_well(services: Stack, path: str, method: str) -> None:
    """The paths for monitors answer like a server's."""
    answer = http(services, path, method=method)

    assert answer.status == 200
    assert answer.body == (b"Ok.\n" if method == "GET" else b"")


def test_serves_the_query_page(services: Stack) -> None:
    """ClickHouse's own page, from the engine."""
    assert b"<title>ClickHouse Query</title>" in http(services, "/play").body


def test_answers_the_page_that_asks_for_frames_as_an_older_server(services: Stack) -> None:
    """The page then retries without frames."""
    answer = http(services, "/?framing_output_format=EventStream", b"SELECT 1")

    assert answer.status == 404
    assert answer.headers["X-ClickHouse-Exception-Code"] == "115"


READERS: dict[str, Callable[[bytes], list[Any]]] = {
    "JSON": lambda body: [tuple(row.values()) for row in json.loads(body)["data"]],
    "JSONEachRow": lambda body: [tuple(json.loads(line).values()) for line in body.splitlines()],
    "JSONCompact": lambda body: [tuple(row) for row in json.loads(body)["data"]],
    "CSV": lambda body: [
        (int(a), b.strip('"')) for a, b in (line.split(",") for line in body.decode().splitlines())
    ],
    "TSV": lambda body: [(int(a), b) for a, b in (line.split("\t") for line in body.decode().splitlines())],
    "Parquet": lambda body: [tuple(row.values()) for row in pq.read_table(io.BytesIO(body)).to_pylist()],
    "Arrow": lambda body: [tuple(row.values()) for row in pa.ipc.open_file(body).read_all().to_pylist()],
    "ArrowStream": lambda body: [
        tuple(row.values()) for row in pa.ipc.open_stream(body).read_all().to_pylist()
    ],
    "Avro": lambda body: [(row["id"], row["name"]) for row in _records(body)],
}


def _records(body: bytes) -> list[Any]:
    return list(fastavro.reader(io.BytesIO(body)))


@pytest.mark.parametrize("name", READERS)
def test_writes_formats_whole(client: Client, name: str) -> None:
    """A result of several blocks is one well-formed document in every format."""
    settings = {
        "max_block_size": 1000,
        "output_format_avro_codec": "deflate",
    }
    query = "SELECT toInt64(number) AS id, concat('n', toString(number)) AS name FROM numbers(5000)"
    body = client.raw_query(query, settings=settings, fmt=name)

    rows = READERS[name](body)
    assert [(row[0], row[1].decode() if isinstance(row[1], bytes) else row[1]) for row in rows] == [
        (number, f"n{number}") for number in range(5000)
    ]


def test_takes_parameters_as_they_are(client: Client) -> None:
    """Server-side parameters keep quotes, tabs, line ends, backslashes and types."""
    text, when = 'it\'s\n\t\\ "é" `x` --', datetime(2026, 1, 2, 3, 4, 5)  # noqa: DTZ001 - as the client gives UTC
    query = "SELECT {text:String}, {list:Array(String)}, {when:DateTime('UTC')}, {none:Nullable(Int8)}"
    parameters = {"text": text, "list": [text, ""], "when": when, "none": None}

    assert client.query(query, parameters=parameters).result_rows == [(text, [text, ""], when, None)]


def test_takes_a_long_url(services: Stack) -> None:
    """A server's limit is 1 MiB; drivers put parameters into the URL."""
    path = f"/?param_x={'x' * 1_000_000}"

    assert http(services, path, b"SELECT length({x:String})").body == b"1000000\n"


def test_takes_settings_from_url_and_query(client: Client, services: Stack) -> None:
    """A setting applies to its query only."""
    query = "SELECT getSetting('max_block_size')"

    assert client.query(query, settings={"max_block_size": 7}).result_rows == [(7,)]
    assert client.query(f"{query} SETTINGS max_block_size = 8").result_rows == [(8,)]
    assert client.query(query).result_rows[0][0] > 8
    assert http(services, "/?nonsense=1", b"SELECT 1").status == 404


def test_queries_use_every_core_whatever_memory_is_free(client: Client) -> None:
    """By default the engine reserves a GiB per thread, which would allow one thread with our limits."""
    assert client.command("SELECT getSetting('max_threads_min_free_memory_per_thread')") == 0


def test_takes_database_format_and_query_id(client: Client, services: Stack) -> None:
    """By URL or header, like a server; the answer's headers report them."""
    client.insert("front.t", [[1, "a", None]])
    answer = http(
        services,
        "/?database=front&query_id=mine&default_format=JSONEachRow&query=" + quote("SELECT id FROM t"),
    )
    by_header = {"X-ClickHouse-Database": "front", "X-ClickHouse-Format": "CSV"}

    assert json.loads(answer.body) == {"id": 1}
    assert answer.headers["X-ClickHouse-Query-Id"] == "mine"
    assert answer.headers["X-ClickHouse-Format"] == "JSONEachRow"
    assert answer.headers["X-ClickHouse-Timezone"]
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["read_rows"] == "1"
    assert http(services, "/", b"SELECT id FROM t", by_header).body == b"1\n"


@pytest.mark.parametrize("compression", ["lz4", "zstd", "gzip", False])
@pytest.mark.usefixtures("client")
def test_inserts_and_streams_back(services: Stack, compression: str | bool) -> None:  # noqa: FBT001
    """Native both ways, in every compression of the client."""
    rows = [[number, f"n{number}" * 5, number / 2] for number in range(50_000)]
    with connect(services, compress=compression, database="front") as other:
        summary = other.insert("t", rows, column_names=["id", "name", "value"])
        with other.query_rows_stream("SELECT * FROM t ORDER BY id") as stream:
            back = [list(row) for row in stream]

    assert summary.written_rows == len(rows)
    assert back == rows


@pytest.mark.parametrize(
    ("query", "body", "headers"),
    [
        ("INSERT INTO front.t FORMAT CSV", b"1,a,2\n2,b,\n", {}),
        ("", b"INSERT INTO front.t FORMAT CSV\n1,a,2\n2,b,\n", {}),
        ("", b"INSERT INTO front.t VALUES (1, 'a', 2), (2, 'b', NULL)", {}),
        ("INSERT INTO front.t VALUES (1, 'a', 2), (2, 'b', NULL)", b"", {}),
        ("INSERT INTO front.t VALUES", b"(1, 'a', 2), (2, 'b', NULL)", {}),
        ("INSERT INTO front.t SETTINGS max_insert_threads=1 FORMAT CSV", b"1,a,2\n2,b,\n", {}),
        (
            "",
            gzip.compress(b"INSERT INTO front.t FORMAT TSV\n1\ta\t2\n2\tb\t\\N\n", mtime=0),
            {"Content-Encoding": "gzip"},
        ),
        (
            "",
            b"INSERT INTO front.t SELECT number, char(96 + number), nullIf(2, number) FROM numbers(1, 2)",
            {},
        ),
    ],
)
def test_inserts_from_body_and_url(
    services: Stack, client: Client, query: str, body: bytes, headers: dict[str, str]
) -> None:
    """The statement is in the URL, in the body, or in both; its data follows."""
    answer = http(services, f"/?query={quote(query)}", body, headers)

    assert answer.status == 200, answer.body
    assert json.loads(answer.headers["X-ClickHouse-Summary"])["written_rows"] == "2"
    assert client.query("SELECT * FROM front.t ORDER BY id").result_rows == [(1, "a", 2.0), (2, "b", None)]


def test_inserts_avro(client: Client) -> None:
    """As the loader does: one Avro container per insert, with defaults for missing columns."""
    summary = client.raw_insert(
        "front.t", insert_block=avro(1000), fmt="Avro", settings={"input_format_avro_allow_missing_fields": 1}
    )

    assert summary.written_rows == 1000
    assert client.command("SELECT count() FROM front.t WHERE name = concat('n', toString(id))") == 1000


def test_inserts_clickhouse_blocks(services: Stack, client: Client) -> None:
    """`decompress=1`: the compression of ClickHouse's own clients."""
    data = b"1\ta\t\\N\n"
    packed = lz4.block.compress(data, store_size=False)
    head = b"\x82" + (len(packed) + 9).to_bytes(4, "little") + len(data).to_bytes(4, "little")
    body = (bytes(16) + head + packed) * 2

    path = f"/?decompress=1&query={quote('INSERT INTO front.t FORMAT TSV')}"
    assert http(services, path, body).status == 200
    assert client.command("SELECT count() FROM front.t") == 2
    assert http(services, path, body[:-1]).headers["X-ClickHouse-Exception-Code"] == "33"
    assert client.command("SELECT count() FROM front.t") == 2


def test_inserts_nothing_of_a_compressed_body_that_was_cut(services: Stack, client: Client) -> None:
    """Its length may be right although its end is missing."""
    body = gzip.compress(b"".join(b"%d,a,1\n" % number for number in range(10_000)))
    path = f"/?query={quote('INSERT INTO front.t FORMAT CSV')}"
    answer = http(services, path, body[: len(body) // 2], {"Content-Encoding": "gzip"})

    assert answer.headers["X-ClickHouse-Exception-Code"] == "33"
    assert client.command("SELECT count() FROM front.t") == 0


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "lz4", "br"])
def test_compresses_answers_when_asked(services: Stack, encoding: str) -> None:
    """By Accept-Encoding, if the URL allows."""
    query = b"SELECT repeat('a', 100000)"
    answer = http(services, "/?enable_http_compression=1", query, {"Accept-Encoding": encoding})
    plain = http(services, "/", query, {"Accept-Encoding": encoding})

    assert answer.headers["Content-Encoding"] == encoding
    assert len(answer.body) < 5000
    assert plain.headers["Content-Encoding"] is None
    assert len(plain.body) == 100_001


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("SELECT * FROM nowhere", 404, 60),
        ("SELECT nothing", 404, 47),
        ("SELECT * FROM nobody.t", 404, 81),
        ("SELECT f(1)", 404, 46),
        ("SELEC 1", 400, 62),
        ("SELECT 1; SELECT 2", 400, 62),
        ("", 400, 62),
        ("SELECT 1 FORMAT Nonsense", 404, 73),
        ("SELECT toUInt8('x')", 400, 6),
        ("SELECT throwIf(number = 3) FROM numbers(10) FORMAT JSON", 500, 395),
        ("INSERT INTO front.t FORMAT CSV\nx,y\n", 400, 27),
        ("CREATE TABLE front.t (a Int8) ENGINE = Memory", 500, 57),
        ("SELECT 1 SETTINGS max_memory_usage = 0", 500, 452),
        ("SELECT {x:String}", 500, 456),
    ],
)
@pytest.mark.usefixtures("client")
def test_tells_errors_as_a_server(services: Stack, query: str, status: int, code: int) -> None:
    """ClickHouse's code, text and status; the front's own clauses do not show."""
    answer = http(services, "/", query.encode())

    assert (answer.status, answer.headers["X-ClickHouse-Exception-Code"]) == (status, str(code))
    assert answer.body.startswith(f"Code: {code}. DB::Exception: ".encode())
    assert b"FILE" not in answer.body.split(b"Expected one of")[0]
    assert b"/dev/fd" not in answer.body


def test_tells_an_error_that_comes_late(services: Stack) -> None:
    """After some rows, the client still learns why others are missing."""
    query = "SELECT throwIf(number = 5000000), number FROM numbers(10000000) SETTINGS max_threads = 1"

    client = connect(services, compress=False)
    with (
        client,
        pytest.raises(ClickHouseError, match="THROW_IF"),
        client.query_row_block_stream(query) as blocks,
    ):
        list(blocks)


def test_cuts_a_compressed_answer_when_an_error_comes_late(services: Stack) -> None:
    """It cannot contain a message, but the client can detect that it is incomplete."""
    query = "SELECT throwIf(number = 500000), randomString(10) FROM numbers(1000000) SETTINGS max_threads = 1"

    client = connect(services, compress="lz4")
    with (
        client,
        pytest.raises((ClickHouseError, HTTPError, OSError)),
        client.query_row_block_stream(query) as blocks,
    ):
        list(blocks)


@pytest.mark.usefixtures("client")
@pytest.mark.parametrize(
    "text",
    [
        "DROP TABLE front.t",
        "INSERT INTO front.t VALUES (1, 'a', 2)",
        "INSERT INTO front.t SELECT 1, 'a', 2",
        "BACKUP TABLE front.t TO Disk('backups', 'by-get')",
        "KILL QUERY WHERE 1",
        "CREATE TEMPORARY TABLE x (a Int8)",
        "OPTIMIZE TABLE front.t",
    ],
)
def test_reads_only_by_get(services: Stack, text: str) -> None:
    """Following a link changes nothing."""
    answer = http(services, f"/?query={quote(text)}")

    assert (answer.status, answer.code) == (500, "164")
    assert http(services, f"/?query={quote('SELECT count() FROM front.t')}").body == b"0\n"


def test_a_get_cannot_make_itself_more(services: Stack) -> None:
    """The engine keeps it read-only with any settings."""
    readonly = quote("SELECT getSetting('readonly')")

    assert http(services, f"/?query={readonly}{quote(' SETTINGS readonly = 0')}").code == "164"
    assert http(services, f"/?readonly=0&query={readonly}").body == b"2\n"


def test_refuses_pages_from_elsewhere(services: Stack) -> None:
    """A page in this machine's browser can reach the port; only its own page may query."""
    own = {"Origin": services.clickhouse_url}

    assert http(services, "/", b"SELECT 1", own).status == 200
    assert http(services, "/", b"SELECT 1", {"Origin": "https://example.com"}).status == 403
    assert http(services, "/", b"SELECT 1", {"Origin": "null"}).status == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_refuses_images_and_links_of_other_pages(services: Stack, site: str) -> None:
    """They have no Origin, but the browser reports the kind of page. Another port is another page."""
    path = f"/?query={quote('SELECT 1')}"

    assert http(services, path, headers={"Sec-Fetch-Site": site}).code == "497"
    for own in ("same-origin", "none"):
        assert http(services, path, headers={"Sec-Fetch-Site": own}).status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        *((name, 200) for name in ("localhost", "127.0.0.1", "[::1]", "LOCALHOST", "warehouse.lan")),
        *((name, 403) for name in ("rebound.example", "localhost.example", "10.0.0.1", "")),
    ],
)
def test_answers_to_its_own_names(small: Stack, host: str, status: int) -> None:
    """A site may point its name at 127.0.0.1; the browser still sends that name."""
    port = urlsplit(small.clickhouse_url).port
    headers = {"Host": f"{host}:{port}", "X-ClickHouse-Key": PASSWORD}

    assert http(small, "/", b"SELECT 1", headers).status == status
    assert http(small, "/ping", headers=headers).status == 200


def test_bytes_that_are_no_utf8_get_an_answer(services: Stack) -> None:
    """The engine's answer, whether or not it can use them."""
    assert http(services, "/", b"SELECT 'caf\xe9'").body == b"caf\xe9\n"
    assert http(services, "/?query=SELECT%20%27caf%E9%27").body == b"caf\xe9\n"
    assert http(services, "/?param_x=caf%E9", b"SELECT {x:String}").body == b"caf\xe9\n"
    for body in (b"SELECT \xff", b"\xff", b"SELECT 1 AS \xe9", b"\0"):
        answer = http(services, "/", body)
        assert (answer.status, answer.code) == (400, "62")
    assert http(services, "/?database=%FF", b"SELECT 1").code == "81"
    assert http(services, "/?%FF=1", b"SELECT 1").code == "115"
    assert http(services, "/?max_threads=%FF", b"SELECT 1").code in {"27", "72"}
    assert http(services, "/?default_format=%FF", b"SELECT 1").code == "73"


@pytest.mark.parametrize("query_id", ["a%0d%0aX-Injected:%201", "%FF", "a" * 1000, "%00"])
def test_an_id_goes_into_a_header(services: Stack, query_id: str) -> None:
    """So it must be one line."""
    answer = http(services, f"/?query_id={query_id}", b"SELECT 1")

    assert answer.code == "36"
    assert "X-Injected" not in answer.headers


def test_refuses_what_it_cannot_do(services: Stack) -> None:
    """With ClickHouse's error, not with a wrong answer."""
    assert http(services, "/", b"x", {"Content-Encoding": "br"}).status == 501
    file = b'--x\r\nContent-Disposition: form-data; name="t"; filename="t"\r\n\r\n1\r\n--x--\r\n'
    external = http(services, "/?query=SELECT+1", file, FORM)
    assert external.status == 501
    assert b"External data" in external.body


def form(**parts: bytes) -> bytes:
    """Return the body of a form."""
    head = '--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n'
    fields = [(head % name).encode() + value + b"\r\n" for name, value in parts.items()]
    return b"".join(fields) + b"--x--\r\n"


def test_takes_parameters_from_a_form(services: Stack) -> None:
    """Drivers use a form if parameters are too long for a URL; it may contain the query too."""
    long = "it's \\\\ long " * 10_000
    text = b"SELECT length({text:String}), getSetting('max_block_size')"
    body = form(query=text, param_text=long.encode(), max_block_size=b"77")
    url = "/?query=SELECT+hex({text:String})"

    assert http(services, "/", body, FORM).body == b"120000\t77\n"  # a server reads escapes
    assert http(services, "/", gzip.compress(body), FORM | {"Content-Encoding": "gzip"}).status == 200
    assert http(services, url, form(param_text=b"\xff\xc3"), FORM).body == b"FFC3\n"
    with connect(services) as client:
        assert client.query("SELECT length({text:String})", {"text": long}).first_row == (130_000,)


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (form(query=b"SELECT 1")[:-8], "36"),  # truncated
        (b"SELECT 1", "36"),
        (form(query=b"SELECT 1", param_x=b" " * 17 * 1024 * 1024), "62"),
        (form(query=b"DROP TABLE front.none"), "60"),  # an ordinary statement
    ],
)
def test_refuses_a_form_that_is_none(services: Stack, body: bytes, code: str) -> None:
    """Truncated, of another format, or too large for memory."""
    assert http(services, "/", body, FORM).code == code


@pytest.mark.parametrize("rows", [0, 1, 500_000])
def test_packs_answers_into_clickhouses_blocks(services: Stack, rows: int) -> None:
    """`compress=1`, a default of clickhouse-jdbc: each block with its size and checksum."""
    answer = http(services, "/?compress=1", f"SELECT number FROM numbers({rows})".encode())
    packed, plain = answer.body, b""
    while packed:
        size, plain_size = struct.unpack_from("<II", packed, 17)
        block = packed[16 : 16 + size]
        assert CityHash128(block) == (int.from_bytes(packed[:8], "little") << 64) + int.from_bytes(
            packed[8:16], "little"
        )
        plain += lz4.block.decompress(block[9:], uncompressed_size=plain_size)
        packed = packed[16 + size :]

    assert answer.status == 200
    assert plain == b"".join(b"%d\n" % number for number in range(rows))
    refused = http(services, "/?compress=1", b"SELECT nothing")
    assert (refused.status, refused.code) == (404, "47")


def test_writes_native_for_the_clients_revision(services: Stack) -> None:
    """As clickhouse-go expects: JSON as text, and faults with their own code."""
    url = "/?default_format=Native&client_protocol_version=54460"
    column = b"\x01\x00\x02\xff\xff\xff\xff\x00\x01\x01\x01j\x04JSON\x00\x01" + b"\x00" * 7

    assert http(services, url, b"""SELECT CAST('{"a":1}', 'JSON') AS j""").body[: len(column)] == column
    assert http(services, url, b"SELECT CAST(1, 'Dynamic') AS d").code == "48"
    assert http(services, url, b"SELECT throwIf(number = 9) FROM numbers(10)").code == "395"
    packed = http(services, f"{url}&enable_http_compression=1", b"SELECT 1 AS a", {"Accept-Encoding": "gzip"})
    assert packed.body == b"\x01\x00\x02\xff\xff\xff\xff\x00\x01\x01\x01a\x05UInt8\x00\x01"
    assert http(services, "/?default_format=Native", b"SELECT 1 AS a").body == b"\x01\x01\x01a\x05UInt8\x01"


def test_tells_the_length_of_a_late_error(services: Stack) -> None:
    """With its newline, as clients count it; then the connection is closed."""
    url = (
        f"{services.clickhouse_url}/?query={quote('SELECT throwIf(number = 3000000) FROM numbers(4000000)')}"
    )
    with urllib.request.urlopen(url, timeout=60) as answer, pytest.raises(IncompleteRead) as cut:
        answer.read()
    tag = answer.headers["X-ClickHouse-Exception-Tag"]
    pattern = rf"\r\n__exception__\r\n{tag}\r\n(.*\n)(\d+) {tag}\r\n__exception__\r\n$"
    end = re.search(pattern.encode(), cut.value.partial, re.DOTALL)

    assert end
    assert end[1].startswith(b"Code: 395")
    assert len(end[1]) == int(end[2])


@pytest.mark.slow
def test_streams_large_results_in_bounded_memory(services: Stack) -> None:
    """A slow reader does not increase the front's memory."""
    peak = Path(f"/proc/{services.pid('clickhouse')}/status")
    connection = HTTPConnection(urlsplit(services.clickhouse_url).netloc, timeout=60)
    before = _resident(peak)
    connection.request("POST", "/", b"SELECT number, toString(number) FROM numbers(40000000) FORMAT CSV")
    answer = connection.getresponse()
    size, most = 0, before
    while piece := answer.read(8 << 20):
        size += len(piece)
        most = max(most, _resident(peak))
    connection.close()

    assert size > 700_000_000
    assert most - before < 150 << 20


def _resident(path: Path) -> int:
    return int(path.read_text().split("VmRSS:")[1].split()[0]) * 1024


@pytest.mark.parametrize("session", ["", "&session_id=gone"])
@pytest.mark.parametrize(
    "query", [ENDLESS, "SELECT number, sipHash64(number) FROM numbers(1000000000000) WHERE number >= 0"]
)
def test_ends_the_query_of_a_client_that_went_away(
    services: Stack, client: Client, query: str, session: str
) -> None:
    """Whether it computes or writes; the engine rewrites queries with parameters."""
    connection = HTTPConnection(urlsplit(services.clickhouse_url).netloc, timeout=60)
    connection.request("POST", f"/?param_end=end{session}", f"{query} AND {{end:String}} != ''".encode())
    eventually(lambda: running(client, query) == 1, what="the query runs")

    connection.close()

    eventually(lambda: running(client, query) == 0, 5, "the query has ended")


@pytest.mark.parametrize("lines", [1000, 100_000])
def test_inserts_nothing_of_a_body_that_was_cut(services: Stack, client: Client, lines: int) -> None:
    """A client that dies midway inserts nothing, even if its first lines are complete."""
    connection = HTTPConnection(urlsplit(services.clickhouse_url).netloc, timeout=60)
    connection.putrequest("POST", f"/?query={quote('INSERT INTO front.t FORMAT CSV')}")
    connection.putheader("Content-Length", "10000000")
    connection.endheaders(b"1,a,1\n" * lines)
    connection.sock.shutdown(socket.SHUT_WR)
    assert connection.sock.recv(1) == b""
    connection.close()

    # The front knows that the client is gone; an insert would have happened by now.
    assert [client.command("SELECT count() FROM front.t") for _ in range(30)] == [0] * 30


def test_a_session_keeps_what_is_temporary(services: Stack) -> None:
    """Tables, SET and USE belong to a session; URL options belong to a query."""
    mine, other = "/?session_id=mine", "/?session_id=other"
    size = b"SELECT getSetting('max_block_size')"

    assert http(services, mine, b"CREATE TEMPORARY TABLE kept (a Int8)").status == 200
    assert http(services, mine, b"INSERT INTO kept FORMAT CSV\n1\n2\n").status == 200
    assert http(services, f"{mine}&query={quote('SELECT sum(a) FROM kept')}").body == b"3\n"
    assert http(services, f"{mine}&query={quote('INSERT INTO kept VALUES (1)')}").code == "164"
    assert http(services, other, b"SELECT * FROM kept").code == "60"
    assert http(services, "/", b"SELECT * FROM kept").code == "60"
    http(services, mine, b"SET max_block_size = 7")
    assert http(services, f"{mine}&max_block_size=5&database=system", size).body == b"5\n"
    assert (
        http(services, mine, b"SELECT currentDatabase(), getSetting('max_block_size')").body
        == b"default\t7\n"
    )
    assert http(services, f"{mine}&close_session=1", size).body == b"7\n"
    assert http(services, mine, b"SELECT * FROM kept").code == "60"


def test_a_session_is_of_one_query_at_a_time(services: Stack, client: Client) -> None:
    """A second query is refused; a client may require that the session exists."""
    query = "SELECT sleep(3), 'of the session'"
    thread = threading.Thread(target=http, args=(services, "/?session_id=busy", query.encode()))
    thread.start()
    eventually(lambda: running(client, query) == 1, what="the query runs")

    assert http(services, "/?session_id=busy", b"SELECT 1").code == "373"
    thread.join()
    assert http(services, "/?session_id=busy", b"SELECT 1").status == 200
    assert http(services, "/?session_id=nobody&session_check=1", b"SELECT 1").code == "372"
    for seconds in ("3601", "x", "-1", "\u0662"):
        assert (
            http(services, f"/?session_id=busy&session_timeout={quote(seconds)}", b"SELECT 1").code == "374"
        )


def test_a_session_ends_after_its_time(services: Stack) -> None:
    """With its objects in memory."""
    path = "/?session_id=short&session_timeout=0"
    assert http(services, path, b"CREATE TEMPORARY TABLE kept (a Int8)").status == 200

    eventually(lambda: http(services, f"{path}&session_check=1", b"SELECT 1").code == "372", what="its end")


def test_bounds_sessions(small: Stack) -> None:
    """The longest unused one is evicted."""
    key = {"X-ClickHouse-Key": PASSWORD}
    for name in ("a", "b", "c"):
        assert http(small, f"/?session_id={name}", b"CREATE TEMPORARY TABLE t (a Int8)", key).status == 200

    assert http(small, "/?session_id=a&session_check=1", b"SELECT 1", key).code == "372"
    assert http(small, "/?session_id=c&session_check=1", b"SELECT * FROM t", key).status == 200


@pytest.mark.parametrize("session", ["", "&session_id=killed"])
@pytest.mark.parametrize(("wanted", "more"), [("'it-s mine'", ""), ("{id:String}", "?param_id=it-s%20mine")])
def test_kills_a_query_by_the_id_of_its_client(
    services: Stack, client: Client, session: str, wanted: str, more: str
) -> None:
    """As cancelling drivers do, with or without parameters; a running query's id is unique."""
    answers: list[Answer] = []
    text = f"{ENDLESS} AND 'to be killed' != {{end:String}}"
    path = "/?query_id=it-s%20mine"
    ask = f"{path}&param_end=end{session}"
    thread = threading.Thread(target=lambda: answers.append(http(services, ask, text.encode())))
    thread.start()
    eventually(lambda: running(client, ENDLESS) == 1, what="the query runs")

    assert http(services, path, b"SELECT 1").code == "216"
    assert http(services, "/", b"KILL QUERY WHERE query_id = 'another' SYNC").body == b""
    killed = http(services, f"/{more}", f"KILL QUERY WHERE user = 'default' AND query_id = {wanted}".encode())
    thread.join()

    assert killed.status == 200
    assert answers[0].code == "394"


def test_a_kill_of_all_queries_spares_the_parsing_of_statements(services: Stack) -> None:
    """Its queries are of the front's own; the engine ends a killed one without error and rows at times."""
    stopping = threading.Event()

    def kill() -> None:
        while not stopping.is_set():
            http(services, "/", b"KILL QUERY WHERE query NOT LIKE '%KILL%' ASYNC")

    thread = threading.Thread(target=kill)
    thread.start()
    answers = [http(services, "/", f"SELECT {number}".encode()) for number in range(200)]
    stopping.set()
    thread.join()

    assert {answer.code for answer in answers} <= {None, "394"}


def test_a_session_that_only_reads_goes_on(services: Stack) -> None:
    """The front does not change its settings."""
    path = "/?session_id=read-only"
    assert http(services, path, b"SET readonly = 1").status == 200

    assert http(services, path, b"SELECT 1").body == b"1\n"
    assert http(services, path, b"SET max_threads = 1").code == "164"


@pytest.mark.parametrize(
    "framing",
    [
        "Content-Length: 11\r\n\r\nSELECT 6*7\n",
        "Transfer-Encoding: chunked\r\n\r\nb\r\nSELECT 6*7\n\r\n0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("protocol", ["h2c", "websocket"])
def test_a_body_stays_when_another_protocol_is_asked_for(
    services: Stack, framing: str, protocol: str
) -> None:
    """Java's client requests HTTP/2 with every request."""
    address = urlsplit(services.clickhouse_url)
    upgrade = f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AAEAAEAA"
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        connection.sendall(f"POST / HTTP/1.1\r\nHost: {address.netloc}\r\n{upgrade}\r\n{framing}".encode())
        answer = connection.recv(65536)
        while not answer.endswith(b"0\r\n\r\n") and (more := connection.recv(65536)):
            answer += more

    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"42\n" in answer


@pytest.mark.parametrize("place", [1, 5])
def test_a_block_cannot_claim_memory(services: Stack, place: int) -> None:
    """Anyone can write its sizes."""
    packed = lz4.block.compress(b"1", store_size=False)
    head = bytearray(b"\x82" + (len(packed) + 9).to_bytes(4, "little") + (1).to_bytes(4, "little"))
    head[place : place + 4] = (0xFFFFFFFF).to_bytes(4, "little")
    insert = quote("INSERT INTO FUNCTION null('a Int8') FORMAT CSV")
    body = bytes(16) + bytes(head) + packed

    assert http(services, f"/?decompress=1&query={insert}", body).code == "299"


@pytest.mark.slow
def test_serves_readers_beside_a_writer(services: Stack, client: Client) -> None:
    """Eight concurrent readers see only whole inserts, and the writer is never refused."""
    done = threading.Event()
    faults: list[object] = []

    def read() -> None:
        with connect(services) as reader:
            while not done.is_set():
                count, total = reader.query("SELECT count(), sum(id) FROM front.t").result_rows[0]
                if count % 500 or total != count * 7:
                    faults.append((count, total))

    readers = [threading.Thread(target=_collect, args=(read, faults)) for _ in range(8)]
    for thread in readers:
        thread.start()
    for _ in range(40):
        client.insert("front.t", [[7, "x", None]] * 500)
    done.set()
    for thread in readers:
        thread.join()

    assert faults == []
    assert client.command("SELECT count() FROM front.t") == 20_000


def _collect(job: Any, faults: list[object]) -> None:
    try:
        job()
    except Exception as error:  # noqa: BLE001 - the test asserts that there is none
        faults.append(error)


def test_keeps_acknowledged_inserts_through_kill_9(services: Stack, client: Client) -> None:
    """An acknowledged insert is there after the supervisor has restarted the engine."""
    acknowledged: list[int] = []

    def write() -> None:
        for number in range(100_000):
            body = b"".join(b"%d,x,\n" % number for _ in range(200))
            try:
                answer = http(services, f"/?query={quote('INSERT INTO front.t FORMAT CSV')}", body)
            except OSError:
                return
            if answer.status == 200:
                acknowledged.append(number)

    writer = threading.Thread(target=write)
    writer.start()
    eventually(lambda: len(acknowledged) > 50, what="inserts are going on")
    services.kill("clickhouse")
    writer.join()
    eventually(lambda: http(services, "/ping").status == 200, what="the engine is back")

    rows = client.query("SELECT id, count() FROM front.t GROUP BY id").result_rows
    assert set(acknowledged) <= {number for number, count in rows if count == 200}


def test_asks_for_the_password(small: Stack) -> None:
    """In every form that clients use; the user name does not matter."""
    right = "Basic OnNlY3JldA=="  # base64 of ":secret"

    assert http(small, "/", b"SELECT 1").status == 401
    assert http(small, "/", b"SELECT 1", {"X-ClickHouse-Key": "wrong"}).status == 403
    assert http(small, "/", b"SELECT 1", {"X-ClickHouse-Key": "secret"}).body == b"1\n"
    assert http(small, "/?user=me&password=secret", b"SELECT 1").body == b"1\n"
    assert http(small, "/", b"SELECT 1", {"Authorization": right}).body == b"1\n"
    assert http(small, "/ping").status == 200


@pytest.mark.parametrize(
    ("query", "name"),
    [
        (ENDLESS, "TIMEOUT_EXCEEDED"),
        ("SELECT groupArray(number) FROM numbers(1000000000)", "MEMORY_LIMIT_EXCEEDED"),
        ("SELECT number FROM numbers(10000000)", "TOO_MANY_ROWS_OR_BYTES"),
        ("SELECT 1 SETTINGS max_execution_time = 0", "SETTING_CONSTRAINT_VIOLATION"),
        ("SELECT 1 SETTINGS max_execution_time = 4", "SETTING_CONSTRAINT_VIOLATION"),
        ("SELECT 1 SETTINGS max_memory_usage = 200000000", "SETTING_CONSTRAINT_VIOLATION"),
        ("SELECT 1 SETTINGS max_result_bytes = 0", "SETTING_CONSTRAINT_VIOLATION"),
    ],
)
def test_ends_a_runaway_query(small: Stack, query: str, name: str) -> None:
    """With the engine's own error; a query may lower a limit but not raise it."""
    with connect(small, password=PASSWORD) as client, pytest.raises(ClickHouseError, match=name):
        client.query(query)


def test_bounds_queries_at_once(small: Stack) -> None:
    """Reads are limited, and more are refused with ClickHouse's code; writes have their own limit."""
    key = {"X-ClickHouse-Key": "secret"}
    answers: list[Answer] = []

    def take_a_place() -> None:
        while (answer := http(small, "/", b"SELECT sleep(2)", key)).status != 200:
            pass
        answers.append(answer)

    threads = [threading.Thread(target=take_a_place) for _ in range(2)]
    for thread in threads:
        thread.start()

    def refused() -> bool:
        return http(small, "/", b"SELECT 1", key).headers["X-ClickHouse-Exception-Code"] == "202"

    eventually(refused, what="a third is refused")
    assert (
        http(small, "/", b"CREATE TABLE IF NOT EXISTS t (a Int8) ENGINE = MergeTree ORDER BY a", key).status
        == 200
    )
    assert http(small, "/", b"INSERT INTO t VALUES (1)", key).status == 200
    for thread in threads:
        thread.join()
    assert len(answers) == 2
    assert http(small, "/", b"SELECT 1", key).status == 200


def test_bounds_bodies(small: Stack) -> None:
    """After decompression, so that a small body cannot fill the disk."""
    key = {"X-ClickHouse-Key": "secret", "Content-Encoding": "gzip"}
    insert = f"/?query={quote('INSERT INTO FUNCTION null() FORMAT CSV')}"

    answer = http(small, insert, gzip.compress(b"1\n" * (1 << 20)), key)
    assert answer.headers["X-ClickHouse-Exception-Code"] == "307"


@pytest.mark.slow
def test_lets_running_queries_end_when_it_stops(tmp_path: Path) -> None:
    """After SIGTERM there are no new queries, but running ones are answered."""
    stack = Stack(tmp_path, "clickhouse").start()
    answers: list[Answer] = []
    thread = threading.Thread(target=lambda: answers.append(http(stack, "/", b"SELECT sleep(1), 'whole'")))
    thread.start()
    with connect(stack) as client:
        eventually(lambda: running(client, "SELECT sleep(1), 'whole'") == 1, what="the query runs")
    began = time.monotonic()

    assert stack.stop() == 0
    thread.join()
    assert answers[0].body == b"0\twhole\n"
    assert time.monotonic() - began < 10 * patience()
