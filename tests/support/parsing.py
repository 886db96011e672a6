"""Statements -> what the engine's parser takes them for; none is executed."""

import subprocess
import sys
from collections.abc import Iterable

_PARSE = """
import re, sys
from chdb.state.sqlitelike import Connection
connection = Connection(":memory:")
for statement in sys.stdin.read().split("\\0"):
    # A query is parsed with the values of its parameters.
    names = re.findall(r"\\{(\\w+):", statement) if statement.startswith("SELECT") else ()
    given = dict.fromkeys(names, "[]")
    print(connection.query("EXPLAIN AST " + statement, "TabSeparated", params=given).data().split()[0])
"""


def parsed(statements: Iterable[str]) -> list[str]:
    """Return the kind of each statement; fails at the first that cannot be parsed."""
    line, given = [sys.executable, "-c", _PARSE], "\0".join(statements)
    done = subprocess.run(line, input=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()
