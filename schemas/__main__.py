"""`python -m schemas list | check | docs | diff | infer | add`: manages released schemas.

`infer` proposes schemas for data without a column; `add` releases schema files, which running processes load
within a second or two. Exit status: 0; 1 if schemas are invalid, incompatible or refused, with one problem
per line on stderr; 2 if ClickHouse is unavailable; all else: see `runtime.command`.
"""

import argparse
import os
import re
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from runtime import command
from runtime.kafka import topics
from runtime.kafka.audit import AuditRecord, noted
from runtime.printable import printable, printable_lines
from schemas.catalog import evolution, page, version
from schemas.catalog.add import add, write
from schemas.catalog.catalog import Catalog, CatalogError, unlisted, unnumbered
from schemas.catalog.table_names import table_name
from schemas.inference import infer
from schemas.inference.arrivals import Question, arrivals
from schemas.settings import Settings

_LINE_CHARS_MAX = 1_000
_Run = Callable[[argparse.Namespace], int]
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def main(arguments: Sequence[str]) -> int:
    """Run one command; return the exit status. Raises: SettingsError, AwayError."""
    given = _parser().parse_args(arguments)
    settings = Settings.from_env(os.environ)
    given.root = given.root or settings.schemas_dir
    given.clickhouse_url = settings.clickhouse_url.get_secret_value()
    chosen: _Run = given.run
    try:
        return chosen(given)
    except CatalogError as error:
        return _fail(str(error).splitlines())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tapline schemas", description="Manage Tapline's released schemas.")
    commands = parser.add_subparsers(dest="command", required=True)

    def add_command(name: str, run: _Run, words: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=words, description=words)
        added.add_argument("--root", type=Path, help="folder of registry.json and avro/ (SCHEMAS_DIR)")
        added.set_defaults(run=run)
        return added

    add_command("list", _list, "print every release: wire id, schema id, table")
    add_command("check", _check, "fail, naming each fault, if a released schema was edited or is invalid")
    add_command("docs", _docs, "write the page that documents every field and column, next to registry.json")
    asking = add_command("infer", _infer, "propose schemas for data that arrived without a column, as diffs")
    asking.add_argument("--event-type", metavar="TYPE", help="only this type")
    asking.add_argument("--since", type=_moment, metavar="WHEN", help="2026-01-31, or 90m, 24h, 7d ago")
    asking.add_argument("--rows", type=int, default=10_000, metavar="N", help="newest rows per type (10000)")
    asking.add_argument(
        "--at-least", type=int, default=1, metavar="N", help="minimum number of events that have a field (1)"
    )
    asking.add_argument(
        "--out", type=Path, metavar="PATH", help="write them into a folder, or a single one as FILE.avsc"
    )
    adding = add_command("add", _add, "release schema files; running processes load them")
    adding.add_argument("files", type=Path, nargs="+", metavar="FILE", help="an .avsc, or a folder of them")
    comparing = add_command("diff", _diff, "print the differences, and whether B reads the data of A")
    comparing.add_argument("older", metavar="A", help="a schema id such as Event_AppOpened_5_0_0, or a file")
    comparing.add_argument("newer", metavar="B", help="the same")
    return parser


def _list(given: argparse.Namespace) -> int:
    for release in Catalog.load(given.root).releases:
        print(f"{release.wire_id:>4}  {release.schema_id:<40} {table_name(release.name)}")
    return 0


def _check(given: argparse.Namespace) -> int:
    try:
        catalog = Catalog.load(given.root)
    except CatalogError as error:
        return _fail([*str(error).splitlines(), *unlisted(given.root)])
    problems = [*unlisted(given.root), *evolution.problems(catalog), *_page_problems(given.root, catalog)]
    if problems:
        return _fail(problems)
    print(f"{len(catalog.releases)} releases of {len(catalog.newest_releases())} schemas are sound")
    return 0


def _page_problems(root: Path, catalog: Catalog) -> list[str]:
    """Return a problem if the documentation page exists but is outdated."""
    try:
        is_current = (root / page.FILE).read_text() == page.page(catalog)
    except FileNotFoundError:
        return []
    return [] if is_current else [f"{page.FILE}: outdated: run `python -m schemas docs`"]


def _docs(given: argparse.Namespace) -> int:
    write(given.root / page.FILE, page.page(Catalog.load(given.root)).encode())
    print(given.root / page.FILE)
    return 0


def _infer(given: argparse.Namespace) -> int:
    catalog = Catalog.load(given.root)
    question = Question(given.event_type, given.since, given.rows)
    found = [
        infer.propose(catalog, event_type, seen, given.at_least)
        for event_type, seen in arrivals(given.clickhouse_url, catalog, question)
    ]
    proposals = [proposal for proposal in found if proposal.schema]
    is_file = given.out is not None and given.out.suffix == ".avsc"
    if is_file and len(proposals) > 1:
        names = ", ".join(proposal.event_type for proposal in proposals)
        return _fail([f"{given.out}: one file cannot hold {names}; give --event-type, or a folder"])
    for proposal in found:
        for line in (*proposal.proposed, *(f"not proposed: {line}" for line in proposal.not_proposed)):
            print(printable(f"# {proposal.event_type}: {line}", _LINE_CHARS_MAX))
        if proposal.schema:
            print(printable_lines(proposal.diff(), None), end="")
        if proposal.schema and given.out:
            _write(given.out if is_file else given.out / proposal.file.removeprefix("avro/mobile/"), proposal)
    if not proposals:
        print("nothing to propose", file=sys.stderr)
    return 0


def _write(path: Path, proposal: infer.Proposal) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(proposal.text())
    print(f"wrote {path}", file=sys.stderr)


def _add(given: argparse.Namespace) -> int:
    files = [
        file for path in given.files for file in (sorted(path.rglob("*.avsc")) if path.is_dir() else [path])
    ]
    released = add(given.root, files)
    for release in released:
        print(f"released {release.schema_id} as {release.wire_id}; its table is {table_name(release.name)}")
    if released:
        names = ", ".join(release.schema_id for release in released)
        record = AuditRecord(action="schemas", count=len(released), detail=f"released {names}")
        if problem := noted(topics.client_properties(os.environ), record):
            print(f"schemas: {problem}", file=sys.stderr)
    return 0


def _diff(given: argparse.Namespace) -> int:
    older, newer = _schema(given.root, given.older), _schema(given.root, given.newer)
    for line in version.differences(older, newer):
        print(printable(line, _LINE_CHARS_MAX))
    problems = evolution.backward_problems(older, newer)
    print(f"{given.newer} {'cannot read' if problems else 'reads'} data of {given.older}")
    return _fail(list(problems)) if problems else 0


def _schema(root: Path, name: str) -> dict[str, Any]:
    release = Catalog.load(root).by_schema_id(name)
    if release:
        return release.schema
    try:
        return unnumbered(Path(name).read_bytes(), "any").schema
    except OSError as error:
        reason = f"neither a released schema id nor a file: {error.strerror}"
    except CatalogError as error:
        reason = str(error)
    raise CatalogError("\n".join(f"{name}: {line}" for line in reason.splitlines()))


def _moment(text: str) -> datetime:
    ago = re.fullmatch(r"(\d{1,6})([smhd])", text)
    if ago:
        return datetime.now(UTC) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _fail(problems: list[str]) -> int:
    print(printable_lines("\n".join(problems), _LINE_CHARS_MAX), file=sys.stderr)
    return 1


if __name__ == "__main__":
    command.main("schemas", main)
