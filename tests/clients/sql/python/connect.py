"""clickhouse-connect, with its defaults."""

import threading
import uuid
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.exceptions import DatabaseError
from report import ADDRESS, ENDLESS, LONG, ROWS, RUNNING, TABLE, left, report, started

client = clickhouse_connect.get_client(host=ADDRESS.hostname, port=ADDRESS.port or 8123)


def first(sql: str, parameters: dict[str, Any] | None = None, **more: Any) -> list[Any]:
    return [*client.query(sql, parameters, **more).result_rows[0]]


def types() -> dict[str, int]:
    found = client.query("SELECT event_type, count() FROM tapcart.events GROUP BY event_type")
    return {row[0]: row[1] for row in found.result_rows}


def parameters() -> list[Any]:
    sql = "SELECT {text:String}, {number:Int64}, {list:Array(String)}"
    return first(sql, {"text": LONG[:16], "number": -42, "list": ["a", "b'"]})


def insert() -> list[Any]:
    client.command("CREATE DATABASE IF NOT EXISTS clients")
    client.command(f"CREATE OR REPLACE TABLE clients.connect {TABLE}")
    client.insert("clients.connect", ROWS, column_names=["id", "name"])
    return first("SELECT count(), sum(id), uniqExact(name) FROM clients.connect")


def large() -> int:
    with client.query_row_block_stream("SELECT number, toString(number) FROM numbers(300000)") as blocks:
        return sum(int(text) for block in blocks for _, text in block)


def late_error() -> str:
    try:
        with client.query_rows_stream("SELECT throwIf(number = 3000000) FROM numbers(4000000)") as rows:
            return f"{sum(1 for _ in rows)} rows and no error"
    except DatabaseError:
        return "raised"


def error() -> str:
    try:
        client.query("SELECT * FROM tapcart.nothing")
    except DatabaseError as error:
        return "60" if "code 60" in str(error).lower() or "code: 60" in str(error).lower() else str(error)
    return "none"


def kill() -> int:
    query_id = str(uuid.uuid4())

    def running() -> int:
        return int(first(RUNNING)[0])

    def endless() -> None:
        other = clickhouse_connect.get_client(host=ADDRESS.hostname, port=ADDRESS.port or 8123)
        try:
            other.query(ENDLESS, settings={"query_id": query_id})
        except DatabaseError:
            return

    thread = threading.Thread(target=endless, daemon=True)
    thread.start()
    started(running)
    client.command("KILL QUERY WHERE query_id = {id:String}", parameters={"id": query_id})
    thread.join(30)
    return int(left(running)) + thread.is_alive()


def session() -> list[int]:
    client.command("CREATE TEMPORARY TABLE mine (n UInt8)")
    client.command("INSERT INTO mine VALUES (1), (2), (3)")
    return [row[0] for row in client.query("SELECT n FROM mine ORDER BY n").result_rows]


def settings() -> int:
    return int(first("SELECT getSetting('max_block_size')", settings={"max_block_size": 1234})[0])


report(
    events=lambda: first("SELECT count() FROM tapcart.events")[0],
    types=types,
    parameters=parameters,
    long_parameter=lambda: first("SELECT length({text:String})", {"text": LONG})[0],
    settings=settings,
    insert=insert,
    large=large,
    error=error,
    late_error=late_error,
    kill=kill,
    session=session,
)
