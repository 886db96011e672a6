"""aiochclient on aiohttp, with its defaults."""

import asyncio
from typing import Any

from aiochclient import ChClient, ChClientError
from aiohttp import ClientSession
from report import ADDRESS, LONG, ROWS, TABLE, report


def run(sql: str, *rows: Any, **values: Any) -> list[Any]:
    async def ask() -> list[Any]:
        async with ClientSession() as session:
            client = ChClient(session, url=f"http://{ADDRESS.netloc}/")
            if rows:
                await client.execute(sql, *rows)
                return []
            return [tuple(row.values()) for row in await client.fetch(sql, params=values or None)]

    return asyncio.run(ask())


def execute(sql: str) -> None:
    async def ask() -> None:
        async with ClientSession() as session:
            await ChClient(session, url=f"http://{ADDRESS.netloc}/").execute(sql)

    asyncio.run(ask())


def types() -> dict[str, int]:
    return dict(run("SELECT event_type, count() FROM tapcart.events GROUP BY event_type"))


def parameters() -> list[Any]:
    ((first, number, several),) = run(
        "SELECT {text}, toInt64({number}), {list}", text=LONG[:16], number=-42, list=["a", "b'"]
    )
    return [first, number, several]


def insert() -> list[Any]:
    execute("CREATE DATABASE IF NOT EXISTS clients")
    execute(f"CREATE OR REPLACE TABLE clients.aiochclient {TABLE}")
    run("INSERT INTO clients.aiochclient (id, name) VALUES", *ROWS)
    return [*run("SELECT count(), sum(id), uniqExact(name) FROM clients.aiochclient")[0]]


def large() -> int:
    async def ask() -> int:
        async with ClientSession() as session:
            client = ChClient(session, url=f"http://{ADDRESS.netloc}/")
            rows = client.iterate("SELECT number, toString(number) FROM numbers(300000)")
            return sum([int(row[1]) async for row in rows])

    return asyncio.run(ask())


def error() -> str:
    try:
        run("SELECT * FROM tapcart.nothing")
    except ChClientError as error:
        return "60" if "Code: 60" in str(error) else str(error)
    return "none"


report(
    events=lambda: run("SELECT count() FROM tapcart.events")[0][0],
    types=types,
    parameters=parameters,
    long_parameter=lambda: run("SELECT length({text})", text=LONG)[0][0],
    insert=insert,
    large=large,
    error=error,
)
