"""Statements and headers against ClickHouse's HTTP port.

Statements that delete the tables of events are left out: every user of the port may run them.
"""

from random import Random
from urllib.parse import quote, quote_from_bytes

from tests.fuzz.case import Case, Place, damaged, request, split

_STATEMENTS = (
    "SELECT 1",
    "SELECT * FROM tapcart.events LIMIT 3",
    "SELECT count() FROM system.keywords",
    "SELECT '{x}'",
    "SELECT * FROM file('/etc/passwd', 'LineAsString')",
    "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
    "INSERT INTO FUNCTION file('/tmp/tapline-fuzz', 'TSV', 'a String') VALUES ('x')",
    "SELECT 1 INTO OUTFILE '/tmp/tapline-fuzz'",
    "SELECT 1 INTO\u00a0OUTFILE '/tmp/tapline-fuzz'",
    "SELECT 1 INTO OUTFILE \u2018/tmp/tapline-fuzz\u2019",
    "SELECT * FROM executable('id', 'TSV', 'a String')",
    "CREATE DICTIONARY d (a UInt8) PRIMARY KEY a SOURCE(EXECUTABLE(COMMAND 'id' FORMAT TSV)) LAYOUT(FLAT)",
    "SELECT * FROM s3('http://127.0.0.1:1/b/k')",
    "SELECT * FROM remote('127.0.0.1:1', system.one)",
    "SYSTEM SHUTDOWN",
    "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
    "CREATE FUNCTION f AS x -> x",
    "SYSTEM STOP MERGES",
    "BACKUP DATABASE tapcart TO File('/tmp/tapline-fuzz')",
    "ATTACH TABLE fuzz.x FROM '/etc' (a String) ENGINE = File(TSV)",
    "SELECT {a:String}",
    "SELECT throwIf(1)",
    "SELECT sleep(1)",
    "SELECT number FROM numbers(1e9) WHERE 0",
    "CREATE TABLE IF NOT EXISTS fuzz.t (a String) ENGINE = Memory",
    "INSERT INTO fuzz.t VALUES ('x')",
    'INSERT INTO fuzz.t FORMAT JSONEachRow {"a": "x"}',
    "INSERT INTO fuzz.t FORMAT Native x",
    "KILL QUERY WHERE 1 = 0",
    "SET max_threads = 1",
    "SHOW TABLES FROM tapcart",
    "EXPLAIN SELECT 1",
    "SELECT 1; SELECT 2",
    "",
    ";",
    "/*",
    "--",
)
_WORDS = (
    "SELECT",
    "FROM",
    "WHERE",
    "FORMAT",
    "SETTINGS",
    "INTO",
    "WITH",
    "AS",
    "(",
    ")",
    "'",
    "`",
    "1",
    "*",
    ",",
    "\x00",
    "🦆",
)
_PARAMETERS = (
    "default_format=TSV",
    "default_format=TSV;SELECT 1",
    "default_format=",
    "database=nowhere",
    "database=fuzz",
    "session_id=a",
    "session_id=",
    "session_timeout=-1",
    "query_id=x",
    "query_id=",
    "compress=1",
    "decompress=1",
    "max_threads=x",
    "readonly=0",
    "allow_ddl=1",
    "param_a=%FF",
    "param_a=x",
    "param_=",
    "wait_end_of_query=1",
    "send_progress_in_http_headers=1",
    "enable_http_compression=1",
    "http_response_headers=x",
    "role=admin",
    "user=x",
    "password=y",
    "client_protocol_version=54460",
    "client_protocol_version=x",
    "buffer_size=-1",
    "query=SELECT+2",
)
_HEADERS = (
    b"X-ClickHouse-Format: TSV",
    b"X-ClickHouse-Format: TSV INTO OUTFILE '/tmp/tapline-fuzz'",
    b"Accept-Encoding: gzip",
    b"X-ClickHouse-Database: x",
    b"X-ClickHouse-User: a",
    b"X-ClickHouse-Key: b",
    b"Authorization: Basic !!",
    b"Content-Encoding: gzip",
    b"Content-Encoding: lz4",
    b"Content-Encoding: zstd",
    b"Content-Encoding: x",
    b"Content-Type: multipart/form-data; boundary=x",
    b"Content-Type: application/x-www-form-urlencoded",
    b"Origin: http://evil.example",
    b"Sec-Fetch-Site: cross-site",
    b"Upgrade: h2c",
    b"Host: evil.example",
)


def make(rng: Random, place: Place) -> Case:
    """Return one request."""
    statement = _statement(rng, place)
    parameters = [rng.choice(_PARAMETERS) for _ in range(rng.choice((0, 0, 1, 3)))]
    headers = [rng.choice(_HEADERS) for _ in range(rng.choice((0, 0, 0, 1, 2)))]
    if rng.random() < 0.5:
        body = statement
    else:
        parameters.append("query=" + quote_from_bytes(statement[:8000]))
        body = b"" if rng.random() < 0.5 else rng.randbytes(rng.randrange(200))
    path = "/" + ("?" + "&".join(parameters) if parameters else "")
    if rng.random() < 0.05:
        path = rng.choice(
            ("/ping", "/play", "/replicas_status", "/nowhere", "/?" + quote("é" * 900), "/dashboard")
        )
    method = b"POST" if rng.random() < 0.8 else rng.choice((b"GET", b"HEAD", b"PUT", b"OPTIONS"))
    return Case(split(rng, request(path, body, *headers, method=method)), hangs_up=rng.random() < 0.05)


def _statement(rng: Random, place: Place) -> bytes:
    seeds = place.corpus.get("statements", [])
    if seeds and rng.random() < 0.2:
        made = rng.choice(seeds)
    elif rng.random() < 0.7:
        made = rng.choice(_STATEMENTS).encode()
    else:
        made = " ".join(rng.choice(_WORDS) for _ in range(rng.randrange(1, 20))).encode()
    if rng.random() < 0.2:
        made = damaged(rng, made)
    return made
