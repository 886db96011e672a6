"""Tables <-> a folder below DATA_DIR/backups, by the engine's own BACKUP and RESTORE.

The engine runs them in the background, because they may take longer than a query may. It writes to no other
folder. Invariant: both return once the engine is done. Raises: StackError; TransientError while ClickHouse
does not answer.
"""

import uuid

from consumers.kit.errors import TransientError
from consumers.warehouse.clickhouse import connect, querying
from consumers.warehouse.tables import RAW
from deploy.backup.manifest import TABLES
from deploy.local.errors import StackError
from runtime.waiting import wait_until

_QUERY_SECONDS_MAX = 60.0
_SECONDS_MAX = 86_400.0
_POLL_SECONDS = 0.2
_UNFINISHED = ("CREATING_BACKUP", "RESTORING")
_DONE = ("BACKUP_CREATED", "RESTORED")


class TableBackup:
    """The tables of one ClickHouse."""

    def __init__(self, url: str) -> None:
        with querying():
            self._client = connect(url, _QUERY_SECONDS_MAX)

    @property
    def version(self) -> str:
        """The engine's version."""
        return str(self._client.server_version)

    def write(self, name: str, base: str | None) -> None:
        """Write the tables to the backup `name`; with `base`, only what that one lacks."""
        settings = f", base_backup = {_place(base)}" if base else ""
        self._run(f"BACKUP DATABASE {RAW} TO {_place(name)}", settings)

    def read(self, name: str) -> None:
        """Create the tables that the backup `name` holds."""
        self._run(f"RESTORE DATABASE {RAW} FROM {_place(name)}", "")

    def _run(self, statement: str, settings: str) -> None:
        identity = str(uuid.uuid4())
        with querying():
            self._client.command(f"{statement} SETTINGS id = '{identity}'{settings} ASYNC")
        status, error = "", ""

        def is_done() -> bool:
            nonlocal status, error
            sql = "SELECT toString(status), error FROM system.backups WHERE id = {id:String}"
            with querying():
                rows = self._client.query(sql, parameters={"id": identity}).result_rows
            if not rows:
                raise TransientError("ClickHouse was restarted meanwhile")
            ((status, error),) = rows
            return status not in _UNFINISHED

        if not wait_until(is_done, _SECONDS_MAX, _POLL_SECONDS) or status not in _DONE:
            raise StackError(f"ClickHouse: {statement}: {status or 'unfinished'}: {error[:1000]}")


def _place(name: str) -> str:
    return f"Disk('backups', '{name}/{TABLES}')"
