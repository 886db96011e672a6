"""clickhouse-sqlalchemy over HTTP, as Superset uses it, with its defaults."""

from typing import Any

from clickhouse_sqlalchemy.exceptions import DatabaseException
from report import ADDRESS, LONG, ROWS, TABLE, report
from sqlalchemy import MetaData, Table, create_engine, func, inspect, select, text

engine = create_engine(f"clickhouse+http://{ADDRESS.netloc}/tapcart")


def run(sql: str, **values: Any) -> list[Any]:
    with engine.connect() as connection:
        return [*connection.execute(text(sql), values).fetchall()]


def types() -> dict[str, int]:
    events = Table("events", MetaData(), autoload_with=engine)
    counted = select(events.c.event_type, func.count()).group_by(events.c.event_type)
    with engine.connect() as connection:
        return {row[0]: row[1] for row in connection.execute(counted)}


def parameters() -> list[Any]:
    # Its HTTP transport returns an array as text.
    sql = "SELECT :text, toInt64(:number), arrayElement(:list, 1), arrayElement(:list, 2)"
    ((first, number, *several),) = run(sql, text=LONG[:16], number=-42, list=["a", "b'"])
    return [first, number, several]


def insert() -> list[Any]:
    with engine.connect() as connection:
        connection.execute(text("CREATE DATABASE IF NOT EXISTS clients"))
        connection.execute(text(f"CREATE OR REPLACE TABLE clients.sqlalchemy {TABLE}"))
        table = Table("sqlalchemy", MetaData(), schema="clients", autoload_with=engine)
        connection.execute(table.insert(), [{"id": number, "name": name} for number, name in ROWS])
    return [*run("SELECT count(), sum(id), uniqExact(name) FROM clients.sqlalchemy")[0]]


def error() -> str:
    try:
        run("SELECT * FROM tapcart.nothing")
    except DatabaseException as error:
        return "60" if "Code: 60" in str(error) else str(error)
    return "none"


def metadata() -> list[str]:
    found = inspect(engine)
    names = [*found.get_table_names(schema="tapcart"), *found.get_view_names(schema="tapcart")]
    columns = [column["name"] for column in found.get_columns("events", schema="tapcart")]
    return [name for name in ("app_opened", "events") if name in names] + [
        c for c in columns if c == "app_id"
    ]


report(
    events=lambda: run("SELECT count() FROM tapcart.events")[0][0],
    types=types,
    parameters=parameters,
    long_parameter=lambda: run("SELECT length(:text)", text=LONG)[0][0],
    insert=insert,
    large=lambda: sum(int(row[1]) for row in run("SELECT number, toString(number) FROM numbers(300000)")),
    error=error,
    metadata=metadata,
)
