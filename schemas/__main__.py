"""`python -m schemas list | check`: what is released, and whether it may be.

Exit status: 0, or 1 when the schemas are not sound; every problem is one line on stderr.
"""

import argparse
import sys
from pathlib import Path

from schemas import evolution
from schemas.catalog import HERE, Catalog, CatalogError, table_name, unlisted


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m schemas", description="Tapline's released schemas.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, words in (
        ("list", "print every release: wire id, schema id, table"),
        ("check", "fail, naming each fault, when a released schema was edited or may not be released"),
    ):
        command = commands.add_parser(name, help=words, description=words)
        command.add_argument("--root", type=Path, default=HERE, help="folder of registry.json and avro/")
    given = parser.parse_args(arguments)
    try:
        return _list(Catalog.load(given.root)) if given.command == "list" else _check(given.root)
    except CatalogError as error:
        return _fail(str(error).splitlines())


def _list(catalog: Catalog) -> int:
    for release in catalog.releases:
        print(f"{release.wire_id:>4}  {release.schema_id:<40} {table_name(release.name)}")
    return 0


def _check(root: Path) -> int:
    try:
        catalog = Catalog.load(root)
    except CatalogError as error:
        return _fail([*str(error).splitlines(), *unlisted(root)])
    problems = [*unlisted(root), *evolution.problems(catalog)]
    if problems:
        return _fail(problems)
    print(f"{len(catalog.releases)} releases of {len(catalog.newest_releases())} schemas are sound")
    return 0


def _fail(problems: list[str]) -> int:
    print("\n".join(problems), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
