"""The running stack's ClickHouse -> the server that CLICKHOUSE_URL names: `python -m deploy.move_out`.

Every table of `tapcart_raw` is copied day by day, and compared by count and hash on both sides. Run it again
after it was killed, or for days that have changed: equal days are skipped. The procedure is in
deploy/runbook.md, "Move ClickHouse to a server".

Exit status: 0 all days are equal, or changed while the loader runs; 1 failed; 3 days changed although no
loader runs; all else: see `runtime.command`.
"""

import argparse
import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import SecretStr

from consumers.kit.errors import TransientError
from consumers.warehouse.settings import Settings as WarehouseSettings
from consumers.warehouse.tables import tables
from deploy.local import services
from deploy.local.errors import StackError
from deploy.local.settings import Settings
from deploy.move_out.mover import DayState, MovedDay, Mover
from deploy.move_out.sides import EmbeddedServer, OutsideServer
from runtime import command
from runtime.kafka.audit import audited
from schemas.catalog.catalog import Catalog

_CHANGED = 3


def main(arguments: Sequence[str]) -> int:
    """Move; return the exit status. Raises: StackError, SettingsError, TransientError."""
    argparse.ArgumentParser(
        prog="tapline move-out",
        description="Copy the stack's own ClickHouse to the server that CLICKHOUSE_URL names, and verify it.",
    ).parse_args(arguments)
    settings = Settings.from_env(os.environ)
    outside = settings.clickhouse_url.get_secret_value()
    at = services.addresses(settings.model_copy(update={"clickhouse_url": SecretStr("")}))
    warehouse = WarehouseSettings.from_env({**os.environ, "KAFKA_BOOTSTRAP_SERVERS": at.kafka})
    if not outside:
        raise StackError("set CLICKHOUSE_URL, or CLICKHOUSE_URL_FILE, to the server that the tables move to")
    options, found = warehouse.table_options, tables(Catalog.load(warehouse.schemas_dir))
    now = datetime.now(UTC)
    source = EmbeddedServer(at.clickhouse_login, options, now)
    target = OutsideServer(outside, options, now, found)
    with audited(warehouse.kafka, "move-out", f"to {target.at}") as outcome:
        target.claim(source.identity)
        mover = Mover(source, target, found)
        mover.check()
        states: Counter[DayState] = Counter()
        rows = 0
        for moved in mover.move():
            print(_line(moved), flush=True)
            states[moved.state] += 1
            rows += moved.rows
        if not states[DayState.CHANGED]:
            target.make_views()
        outcome.count = rows
    has_loader = (settings.data_dir / "run" / "warehouse.pid").exists()
    print(_result(states, rows, has_loader=has_loader))
    return _CHANGED if states[DayState.CHANGED] and not has_loader else 0


def _line(moved: MovedDay) -> str:
    place = f"{moved.day.table.name} {moved.day.partition} ({moved.number} of {moved.days})"
    return f"{place}: {moved.rows:,} rows, {moved.state.value}"


def _result(states: Counter[DayState], rows: int, *, has_loader: bool) -> str:
    changed = states[DayState.CHANGED]
    equal = f"{states.total() - changed} days are equal on both servers, by count and hash"
    if changed or has_loader:
        why = "the loader runs: stop it" if has_loader else "rows still change: stop what changes them"
        return f"{equal}; {changed} changed meanwhile. Not the end, because {why}, and run this again."
    return f"{equal}: all, with {rows:,} rows. No loader runs: start the stack with CLICKHOUSE_URL."


if __name__ == "__main__":
    command.main("could not move", main, {TransientError: 1})
