"""A backup -> the data of a stack that has none. `python -m deploy.backup.restore FOLDER`.

The stack must not run. Kafka may be there, if it survived: then the loader continues at the offsets of the
backup's moment, and loads all later records again. If Kafka is another one, the loader begins at its start.

Invariants: everything is checked before anything is written: the files' checksums, the versions, and that the
place is empty. So a restore never overwrites data. Exit status: 0 done, 1 refused or failed; all else: see
`runtime.command`.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from confluent_kafka import KafkaException

from consumers.erase import erase_again
from consumers.kit import client, offsets
from consumers.kit.errors import TransientError
from consumers.warehouse.settings import Settings as WarehouseSettings
from deploy.backup.manifest import SCHEMAS, SPOOL, TOKEN, Manifest, verified
from deploy.backup.table_backup import TableBackup
from deploy.local import clickhouse_command, engine_version, secret, services
from deploy.local import folder as data_folder
from deploy.local.errors import StackError
from deploy.local.settings import ROOT, Settings
from ingest.spool_settings import SpoolSettings
from runtime import command
from runtime.environment import StartError
from runtime.kafka import log_ids
from runtime.kafka.audit import AuditRecord, noted
from runtime.retry import retrying

_KAFKA_SECONDS_MAX, _PAUSE_SECONDS_MAX = 30.0, 2.0


def main(arguments: Sequence[str]) -> int:
    """Restore; return the exit status. Raises: StackError, SettingsError, TransientError, OSError."""
    parser = argparse.ArgumentParser(
        prog="tapline restore", description="Restore a backup into an empty place."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the backup: its bases are beside it")
    given = parser.parse_args(arguments).folder.resolve()
    os.umask(0o077)
    settings = Settings.from_env(os.environ)
    settings = settings.model_copy(update={"data_dir": settings.data_dir.resolve()})
    chain = verified(given)
    manifest = chain[0][1]
    print(f"{given}: all files are as they were written at {manifest.created_at}")
    data_folder.check(settings.data_dir, settings.disk_free_bytes_min)
    with data_folder.locked(settings.data_dir):
        targets = _targets(settings)
        _check(settings, given, manifest, targets)
        _copy(settings, chain, targets)
    with _running(settings) as (url, kafka):
        TableBackup(url).read(given.name)
        print("tables: restored")
        print(_set_offsets(kafka, manifest) if kafka else _OTHER_KAFKA)
        audit = AuditRecord(action="restore", detail=given.name)
        if problem := noted(_properties(kafka) if kafka else {}, audit):
            print(problem, file=sys.stderr)
        if kafka:
            _erase_again(kafka, url)
    if not kafka:
        print(_NOT_ERASED)
    return 0


_OTHER_KAFKA = (
    "Kafka: has none of the backup's records, so the loader begins at its start. Records that were in Kafka "
    "and not loaded when the backup was written are lost with it."
)


_NOT_ERASED = (
    "erased people: Kafka knows who they are. If its topic tapcart.erasures survived elsewhere, run `tapline "
    "erase --restored` before anybody queries; else erase everybody again who was erased since the backup."
)


_STILL_THERE = (
    "the tables are restored, but erased people may be in them. Run `tapline erase --restored` before "
    "anybody queries"
)


def _targets(settings: Settings) -> dict[str, Path]:
    """Return the part of a backup -> its place."""
    env = {**os.environ, "DATA_DIR": str(settings.data_dir)}
    schemas = WarehouseSettings.from_env({**env, "KAFKA_BOOTSTRAP_SERVERS": "-"}).schemas_dir
    return {
        SPOOL: SpoolSettings.from_env(env).spool_dir,
        SCHEMAS: schemas,
        TOKEN: secret.path(settings),
    }


def _check(settings: Settings, given: Path, manifest: Manifest, targets: dict[str, Path]) -> None:
    """Raise StackError unless the backup can be restored here."""
    if settings.clickhouse_url:
        raise StackError("CLICKHOUSE_URL names a server outside of the stack: use its own RESTORE")
    installed, needed = clickhouse_command.installed(), engine_version.parse(manifest.clickhouse)
    if installed and installed < needed:
        older, newer = map(engine_version.words, (installed, needed))
        raise StackError(
            f"the backup is ClickHouse {newer}'s, which {older} may not understand: install {newer}"
        )
    names = ("clickhouse", "clickhouse-server")
    full = [settings.data_dir / name for name in names if (settings.data_dir / name / "metadata").exists()]
    full += [
        path for path in (targets[SPOOL],) if path.exists() and any(one.is_file() for one in path.rglob("*"))
    ]
    token = targets[TOKEN]
    if token.exists() and token.read_bytes() != (given / TOKEN).read_bytes():
        full.append(token)
    if lacking := _lacking(given / SCHEMAS, targets[SCHEMAS]):
        raise StackError(
            f"{targets[SCHEMAS]} has other schemas than the backup: {lacking} differs. Set SCHEMAS_DIR to a "
            "new folder, here and for `make run`."
        )
    if full:
        raise StackError(
            f"a backup is restored into an empty place only, and {', '.join(map(str, full))} has data. "
            "Move it away, or set DATA_DIR to another folder."
        )


def _lacking(backup: Path, schemas: Path) -> str:
    """Return the first schema of the backup that a folder in use has not, or has otherwise."""
    if not (schemas / "registry.json").exists():
        return ""
    for path in sorted((backup / "avro").rglob("*.avsc")):
        here = schemas / path.relative_to(backup)
        if not here.exists() or here.read_bytes() != path.read_bytes():
            return str(path.relative_to(backup))
    return ""


def _copy(settings: Settings, chain: Sequence[tuple[Path, Manifest]], targets: dict[str, Path]) -> None:
    """Copy everything but the tables to its place, and the tables to where the engine may read them."""
    backups = settings.data_dir / "backups"
    for folder, _ in chain:
        if folder.parent != backups:
            shutil.copytree(folder, backups / folder.name, dirs_exist_ok=True)
    given = chain[0][0]
    for part, target in targets.items():
        source = given / part
        if source.is_dir() and not (part == SCHEMAS and (target / "registry.json").exists()):
            shutil.copytree(source, target, dirs_exist_ok=True)
            print(f"{part}: {sum(path.is_file() for path in source.rglob('*'))} files in {target}")
        elif source.is_file():
            shutil.copyfile(source, target)
            print(f"{part}: {target}")


@contextmanager
def _running(settings: Settings) -> Iterator[tuple[str, str]]:
    """Run ClickHouse, and Kafka if it is there; yield their addresses, the second empty if there is none."""
    at = services.addresses(settings)
    has_own = (settings.data_dir / "kafka" / "log" / "meta.properties").exists()
    names = "clickhouse,kafka" if has_own and not settings.kafka_bootstrap_servers else "clickhouse"
    line = [sys.executable, "-m", "deploy.local", "--only", names]
    with subprocess.Popen(
        line, cwd=ROOT, env=os.environ | {"DATA_DIR": str(settings.data_dir)}, stdout=subprocess.PIPE
    ) as stack:
        try:
            if not stack.stdout or not stack.stdout.readline():
                raise StackError("the stack did not start: see above")
            yield at.clickhouse_login, at.kafka if has_own or settings.kafka_bootstrap_servers else ""
        finally:
            stack.send_signal(signal.SIGTERM)
            stack.wait()


def _set_offsets(servers: str, manifest: Manifest) -> str:
    """Commit the backup's offsets, if Kafka has its logs; return what was done. Raises: StackError."""
    kafka = _properties(servers)
    try:
        logs = log_ids.read(kafka, manifest.logs, _KAFKA_SECONDS_MAX).logs
        found = {
            (topic, int(partition)): offset
            for topic, partitions in manifest.offsets.items()
            if logs.get(topic) == manifest.logs.get(topic)
            for partition, offset in partitions.items()
        }
        if not found:
            return _OTHER_KAFKA
        # A loader that was killed counts as a member for some seconds, and no one else may commit meanwhile.
        retry = retrying(KafkaException, _PAUSE_SECONDS_MAX, seconds_max=_KAFKA_SECONDS_MAX)
        retry(offsets.commit, client.consumer(kafka, manifest.group), found)
    except KafkaException as error:
        raise StackError(
            f"Kafka: {error.args[0].str()}. The tables are restored, but not the loader's offsets: "
            "`tapline reconcile --repair` loads what is missing."
        ) from None
    return f"Kafka: the loader loads again what arrived after {manifest.created_at}"


def _erase_again(kafka: str, url: str) -> None:
    """Erase everybody whose tombstone is in Kafka from the restored tables. Raises: StackError."""
    env = {**os.environ, "KAFKA_BOOTSTRAP_SERVERS": kafka, "CLICKHOUSE_URL": url}
    try:
        left = erase_again(WarehouseSettings.from_env(env))
    except (TransientError, StartError) as error:
        raise StackError(f"{_STILL_THERE}: {error}") from error
    if left:
        raise StackError(f"{_STILL_THERE}: {left} rows are left")


def _properties(servers: str) -> dict[str, str]:
    return WarehouseSettings.from_env({**os.environ, "KAFKA_BOOTSTRAP_SERVERS": servers}).kafka


if __name__ == "__main__":
    command.main("could not restore", main, {TransientError: 1})
