"""The running one-machine stack -> one backup: a folder below DATA_DIR/backups, to be copied elsewhere.

`python -m deploy.backup [--base NAME]`. The stack runs on meanwhile, and no post waits. A backup holds the
tables, the loader's committed offsets, the ids of Kafka's cluster and topics, the schemas, ingest's spool and
the token of the webhook's URL. It does not hold Kafka's records: see docs/decisions/0035-backups.md.

Invariants: the offsets are read before the tables, so every record before them has its row in the backup. The
spool is read before both: an event that leaves it meanwhile is in Kafka. The schemas are read last, so they
explain every row. Exit status: 0 done, 1 failed; all else: see `runtime.command`.
"""

import argparse
import os
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from consumers.kit.errors import TransientError
from consumers.warehouse.repair.offset_reader import OffsetReader
from consumers.warehouse.settings import Settings as WarehouseSettings
from deploy.backup.manifest import FILE, SCHEMAS, SPOOL, TOKEN, Base, Manifest, checksums, sha256
from deploy.backup.table_backup import TableBackup
from deploy.local import secret, services
from deploy.local.errors import StackError
from deploy.local.settings import Settings
from ingest.spool_settings import SpoolSettings
from runtime import command
from runtime.kafka.audit import audited
from runtime.version import VERSION

_NAME = re.compile(r"[\w-]+")


def main(arguments: Sequence[str]) -> int:
    """Write a backup; return the exit status. Raises: StackError, SettingsError, TransientError, OSError."""
    options = _options(arguments)
    os.umask(0o077)  # the folder holds events and the token
    settings = Settings.from_env(os.environ)
    if settings.clickhouse_url:
        raise StackError("CLICKHOUSE_URL names a server outside of the stack: use its own BACKUP")
    folder = settings.data_dir.resolve() / "backups" / f"{datetime.now(UTC):%Y-%m-%dT%H-%M-%SZ}"
    base = _base(folder.parent, options.base) if options.base else None
    at = services.addresses(settings)
    env = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": at.kafka, "CLICKHOUSE_URL": at.clickhouse_login}
    warehouse = WarehouseSettings.from_env(env)
    with audited(warehouse.kafka, "backup", folder.name):
        manifest = _write(settings, warehouse, folder, base)
    size = sum((folder / path).stat().st_size for path in manifest.files)
    print(f"{folder}: {len(manifest.files)} files, {size:,} bytes" + (f", on {base.name}" if base else ""))
    return 0


def _write(settings: Settings, warehouse: WarehouseSettings, folder: Path, base: Base | None) -> Manifest:
    """Write a backup into a new folder, and return its manifest."""
    kafka = OffsetReader(warehouse.kafka, warehouse.group)
    tables = TableBackup(warehouse.clickhouse_url.get_secret_value())
    folder.mkdir(parents=True)
    _copy(SpoolSettings.from_env(os.environ).spool_dir, folder / SPOOL)
    created_at, ids, logs = datetime.now(UTC), kafka.topic_ids(), kafka.logs()
    offsets: dict[str, dict[str, int]] = {}
    for (topic, partition), log in logs.items():
        offsets.setdefault(topic, {})[str(partition)] = log.committed
    tables.write(folder.name, base.name if base else None)
    for part in ("registry.json", "avro"):
        _copy(warehouse.schemas_dir / part, folder / SCHEMAS / part)
    _copy(secret.path(settings), folder / TOKEN)
    manifest = Manifest(
        name=folder.name,
        created_at=created_at.isoformat(timespec="milliseconds"),
        tapline=VERSION,
        clickhouse=tables.version,
        cluster_id=ids.cluster_id,
        topic_ids=ids.topic_ids,
        logs=ids.logs,
        group=warehouse.group,
        offsets=offsets,
        files=checksums(folder),
        base=base,
    )
    manifest.write(folder)
    return manifest


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tapline backup", description="Back the running stack up, into DATA_DIR/backups."
    )
    parser.add_argument(
        "--base", metavar="NAME", type=_name, help="an earlier backup: write only what its tables lack"
    )
    return parser.parse_args(arguments)


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"is no name of a backup: {text}")
    return text


def _base(backups: Path, name: str) -> Base:
    Manifest.read(backups / name)
    return Base(name, sha256(backups / name / FILE))


def _copy(source: Path, target: Path) -> None:
    """Copy a file or a folder, as far as it exists; ingest may remove files of the spool meanwhile."""
    if source.is_dir():
        for path in sorted(source.rglob("*")):
            if path.is_file():
                _copy(path, target / path.relative_to(source))
        return
    with suppress(FileNotFoundError):
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


if __name__ == "__main__":
    command.main("could not back up", main, {TransientError: 1})
