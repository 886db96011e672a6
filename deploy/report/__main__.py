"""Writes a merchant's week as one HTML file with plots: `python -m deploy.report`, next to a running stack.

Exit status: 0 written, 1 nothing to report or ClickHouse does not answer; all else: see `runtime.command`.
"""

import argparse
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from deploy.local import services
from deploy.local.settings import Settings
from deploy.report.page import page
from deploy.report.week import week
from runtime import command
from runtime.printable import printable


def main(given: Sequence[str]) -> int:
    """Write the report; return the exit status. Raises: StackError, ReportError, OSError."""
    arguments = _arguments(given)
    url = services.addresses(Settings.from_env(os.environ)).clickhouse_login
    found = week(url, arguments.app, arguments.week)
    arguments.out.write_text(page(found), encoding="utf-8")
    print(f"{arguments.out}: {printable(found.app)}, {found.monday} to {found.sunday}")
    return 0


def _arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tapline report", description="Write a merchant's week as one HTML file."
    )
    parser.add_argument("--app", default="", help="app id (default: the one with most devices)")
    parser.add_argument(
        "--week", type=date.fromisoformat, help="a day of the week (default: the latest week)"
    )
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="default: report.html")
    return parser.parse_args(given)


if __name__ == "__main__":
    command.main("report", main)
