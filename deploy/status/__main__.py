"""The stack's settings -> its state on one screen: `python -m deploy.status`.

Exit status: 0 all is well, 1 there is a problem, 3 nothing runs; all else: see `runtime.command`. In a pipe
it prints plain text.
"""

import os
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from deploy.local.settings import Settings
from deploy.status.collect import Status, collect
from deploy.status.formatting import span
from runtime import command
from runtime.printable import printable

_PIPE_WIDTH = 160  # wide enough to avoid wrapping where there is no terminal
_NOTHING_RUNS = 3
_CHARS_MAX = 1_000  # of one cell


def main(_: Sequence[str]) -> int:
    """Print the status; return the exit status. Raises: StackError."""
    settings = Settings.from_env(os.environ)
    status = collect(settings)
    if not status.runs:
        print(f"Nothing runs on {settings.data_dir.resolve()} or its ports: `make run` starts it.")
        return _NOTHING_RUNS
    _show(status)
    return 0 if status.is_well else 1


def _show(status: Status) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    processes = _table()
    for process in status.processes:
        mark = "[green]up[/]" if process.is_up else "[bold red]DOWN[/]"
        since = span(process.uptime_seconds) if process.uptime_seconds is not None else ""
        since += f", start {process.starts}" if process.starts > 1 else ""
        processes.add_row(process.name, mark, str(process.pid or ""), since, _text(process.detail))
    facts = _table()
    for fact in status.facts:
        facts.add_row(fact.name, _text(fact.text) if fact.is_well else f"[bold red]{_text(fact.text)}[/]")
    urls = _table()
    for name, url in status.urls:
        urls.add_row(name, _text(url))
    for table in (processes, facts, urls):
        console.print(table)
        console.print()
    well = (
        "[green]All is well.[/]"
        if status.is_well
        else "[bold red]There are problems: see deploy/runbook.md.[/]"
    )
    console.print(well)


def _text(given: str) -> str:
    return escape(printable(given, _CHARS_MAX))


def _table() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(min_width=13)
    return table


if __name__ == "__main__":
    command.main("status", main)
