"""One name, one meaning: no class name is defined twice in the product."""

import ast
from collections import defaultdict
from collections.abc import Mapping

from tests.support.stack import ROOT

# Each process has its own, of the same purpose; they are never in one module together.
_PER_PROCESS = frozenset({"Settings", "Metrics"})
_PRODUCT = ("runtime", "schemas", "ingest", "consumers", "deploy")


def defined(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Return class name -> the modules that define it, of path -> source."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for path, source in sources.items():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ClassDef):
                found[node.name].add(path)
    return found


def test_no_class_name_is_defined_twice() -> None:
    """`grep "class Name"` finds the one class that the name stands for."""
    paths = [path for part in _PRODUCT for path in (ROOT / part).rglob("*.py")]
    classes = defined({path.relative_to(ROOT).as_posix(): path.read_text() for path in paths})
    twice = {name: sorted(places) for name, places in classes.items() if len(places) > 1}

    assert len(classes) > 200
    assert twice.keys() <= _PER_PROCESS, {name: twice[name] for name in twice.keys() - _PER_PROCESS}
