"""Writes a merchant's week as one HTML file with plots: `python -m deploy.report`, next to a running stack.

Exit status: 0 written, 1 nothing to report or ClickHouse does not answer, 2 wrong options or settings.
"""

import argparse
import os
import sys
from datetime import date
from pathlib import Path

import httpx

from deploy.local import services
from deploy.local.errors import StackError
from deploy.local.settings import Settings
from deploy.report.page import page
from deploy.report.week import ReportError, week
from runtime.printable import printable, printable_lines


def main() -> int:
    """Write the report; return the exit status."""
    arguments = _arguments()
    try:
        url = services.addresses(Settings.from_env(os.environ)).clickhouse_login
        found = week(url, arguments.app, arguments.week)
        arguments.out.write_text(page(found), encoding="utf-8")
    except StackError as error:
        print(f"report: {error}", file=sys.stderr)
        return error.exit_status
    except ReportError as error:
        print(f"report: {printable_lines(error)}", file=sys.stderr)
        return 1
    except httpx.HTTPError as error:
        print(f"report: ClickHouse does not answer ({error}); is `make run` running?", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"report: {arguments.out} cannot be written: {error.strerror}", file=sys.stderr)
        return 1
    print(f"{arguments.out}: {printable(found.app)}, {found.monday} to {found.sunday}")
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.report", description="Write a merchant's week as one HTML file."
    )
    parser.add_argument("--app", default="", help="app id (default: the one with most devices)")
    parser.add_argument(
        "--week", type=date.fromisoformat, help="a day of the week (default: the latest week)"
    )
    parser.add_argument("--out", type=Path, default=Path("report.html"), help="default: report.html")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
