"""Programs that use ClickHouse's HTTP port by drivers as installed: each check is one JSON line.

Invariant: a program prints each of its checks once, with the result expected here, whatever the driver.
"""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from tests.clients import program
from tests.clients.program import HERE, Program, say

_SQL = HERE / "sql"
_BASIC = ("events", "types", "parameters", "long_parameter", "insert", "large", "error")
_DBT = {
    **dict.fromkeys(("deps", "seed", "run", "incremental", "test", "package", "docs"), "success"),
    "package_tests": True,  # each of deploy/dbt passes
    "catalog": True,  # docs know the columns of the models
    "source_columns": [],  # that docs lack, or that no view has
    "counted": [10_000, 1],  # events, and whether each day is there once
}


def clients() -> Iterator[Program]:
    """Yield all of them."""
    java = program.cached(_SQL / "java")
    python = str(program.cached(_SQL / "python") / "bin/python")
    for name, more in (
        ("connect", ("settings", "late_error", "kill", "session")),
        ("sqlalchemy_http", ("metadata",)),
        ("aioch", ()),
    ):
        command = (python, f"{name}.py")
        prepare = program.python(_SQL / "python")
        yield Program(f"sql-{name}", command, (), prepare, _SQL / "python", checks=(*_BASIC, *more))
    every = (*_BASIC, "settings", "late_error", "cancel", "session")
    yield Program(
        "sql-node",
        ("node", "query.js"),
        program.NPM,
        program.node(_SQL / "node"),
        program.cached(_SQL / "node"),
        checks=every,
    )
    go = str(program.cached(_SQL / "go"))
    yield Program("sql-go", (go,), program.GO, program.go(_SQL / "go"), checks=every)
    yield Program(
        "sql-java",
        ("java", "-cp", f"{java}/*", "Query.java"),
        program.JAVA,
        program.java(_SQL / "java"),
        _SQL / "java",
        checks=(*every, "metadata"),
    )
    curl = ("events", "long_parameter", "insert", "error", "kill", "session")
    yield Program(
        "sql-curl", ("bash", "query.sh"), (("curl", "--version"),), folder=_SQL / "curl", checks=curl
    )
    dbt = (str(program.cached(HERE / "dbt") / "bin/python"), "run.py")
    yield Program("sql-dbt", dbt, (), program.python(HERE / "dbt"), HERE / "dbt", checks=(*_DBT,))


def faults(client: Program, events: Sequence[bytes], env: dict[str, str]) -> list[str]:
    """Return the differences from the expected results, by client. Raises: ProgramFailedError."""
    lines: dict[str, dict[str, Any]] = {}
    for text in client.lines(env):
        if text.startswith('{"check"'):
            line = json.loads(text)
            lines[line["check"]] = line
        else:
            say(text.rstrip())
    wanted = _expected(events)
    return [*(fault for name in client.checks if (fault := _fault(name, lines.get(name), wanted[name])))]


def _fault(name: str, line: dict[str, Any] | None, wanted: Any) -> str:
    if line is None:
        return f"{name}: not printed"
    if "got" not in line:
        return f"{name}: {line['error']}"
    got = str(line["got"]) if isinstance(wanted, str) else line["got"]
    return "" if got == wanted else f"{name}: {got}, not {wanted}"


def _expected(events: Sequence[bytes]) -> dict[str, Any]:
    return {
        "events": len(events),
        "types": Counter(json.loads(event)["event_type"] for event in events),
        "parameters": ["it's ünïcode\\ \n\t", -42, ["a", "b'"]],
        "long_parameter": 1250 * len("it's ünïcode\\ \n\t".encode()),
        "settings": 1234,
        "insert": [10_000, sum(range(10_000)), 10_000],
        "large": sum(range(300_000)),
        "error": "60",  # ClickHouse's code of an unknown table
        "late_error": "raised",  # not a truncated result
        "cancel": 0,  # queries left
        "kill": 0,
        "session": [1, 2, 3],  # of a temporary table
        "metadata": ["app_opened", "events", "app_id"],
        **_DBT,
    }
