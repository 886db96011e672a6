"""`python -m ingest.spool list | show NAME | requeue NAME ...`: the files that ingest keeps on disk.

`list` shows the segments that await Kafka, which ingest delivers by itself, and the files set aside, which it
does not: records that Kafka refused for good, and damaged bytes. `requeue` sends the records of such files to
Kafka and removes each file once Kafka has all its records; ingest may keep running. Exit status: 0 done, 1
failed; all else: see `runtime.command`.
"""

import argparse
import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from ingest.delivery.producer import KafkaProducer
from ingest.delivery.producer_port import NotAcknowledgedError, RefusedError
from ingest.delivery.record import OutgoingRecord
from ingest.delivery.segment import Contents, parse
from ingest.delivery.segment_writer import SUFFIX
from ingest.delivery.set_aside import FOLDER
from ingest.delivery.set_aside import SUFFIX as ASIDE
from ingest.spool_settings import SpoolSettings
from runtime import command
from runtime.environment import SettingsError
from runtime.kafka import record_headers, record_key
from runtime.printable import printable

_ACKNOWLEDGE_SECONDS_MAX = 30.0
_ALL = "all"


def main(arguments: Sequence[str]) -> int:
    """Run the command in `arguments`; return the exit status. Raises: SettingsError, OSError."""
    options = _options(arguments)
    settings = SpoolSettings.from_env(os.environ)
    if options.command == "list":
        return _list(settings.spool_dir)
    if options.command == "show":
        return _show(_file(settings.spool_dir, options.name))
    return asyncio.run(_requeue(settings, options.names))


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tapline spool", description="Manage the files that ingest keeps on disk."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="list the files and their contents")
    show = commands.add_parser("show", help="print the records of a file, one line of JSON each")
    show.add_argument("name", help="as `list` shows it")
    requeue = commands.add_parser("requeue", help="send the records of files set aside to Kafka")
    requeue.add_argument("names", nargs="+", metavar="NAME", help=f"as `list` shows it, or `{_ALL}`")
    return parser.parse_args(arguments)


def _list(folder: Path) -> int:
    segments = sorted(folder.glob(f"*{SUFFIX}"))
    print(f"{len(segments)} files await Kafka, {sum(path.stat().st_size for path in segments):,} bytes")
    for path in _aside(folder):
        contents = parse(path.read_bytes())
        records = ", ".join(map(_words, contents.records)) or "nothing readable"
        damaged = f", {contents.damaged_bytes:,} damaged bytes" if contents.damaged_bytes else ""
        print(f"{path.name}  {path.stat().st_size:,} bytes: {printable(records)}{damaged}")
    return 0


def _words(record: OutgoingRecord) -> str:
    named = dict(record.headers)
    event = named.get(record_headers.EVENT_TYPE, b"").decode(errors="replace") or "a body"
    app = (record_key.app_id_of(record.key) or b"").decode(errors="replace")
    return f"{event} of {app or 'no app'} for {record.topic}"


def _show(path: Path) -> int:
    for frame in parse(path.read_bytes()).frames:
        record = frame.record
        shown: dict[str, object] = {"damaged": frame.damage}  # bytes are base64
        if record:
            headers = [(name, value.decode("ascii", "backslashreplace")) for name, value in record.headers]
            shown = {"topic": record.topic, "key": record.key.decode("ascii", "backslashreplace")}
            shown |= {"timestamp_ms": record.timestamp_ms, "headers": headers, "value": record.value}
        print(printable(msgspec.json.encode(shown).decode(), chars_max=None))
    return 0


async def _requeue(settings: SpoolSettings, names: Sequence[str]) -> int:
    if not settings.kafka:
        raise SettingsError("KAFKA_BOOTSTRAP_SERVERS: must be `host:port`, comma separated")
    folder = settings.spool_dir
    paths = _aside(folder) if names == [_ALL] else [_file(folder, name) for name in names]
    producer = KafkaProducer(settings.kafka)
    left = 0
    try:
        for path in paths:
            fault = await _hand_over(producer, path, parse(path.read_bytes()))
            print(f"{path.name}: {printable(fault) or 'Kafka has it'}")
            left += bool(fault)
    finally:
        await producer.close(0)
    return min(left, 1)


async def _hand_over(producer: KafkaProducer, path: Path, contents: Contents) -> str:
    """Send the records of a file and remove it; return why it stays, or "" if Kafka has all."""
    for record in contents.records:
        try:
            await asyncio.wait_for(producer.produce_alone(record), _ACKNOWLEDGE_SECONDS_MAX)
        except RefusedError as error:
            return f"Kafka refuses a record: {error}"
        except (NotAcknowledgedError, TimeoutError) as error:
            return f"Kafka does not acknowledge: {error}"
    if contents.damaged_bytes or contents.torn_bytes or not contents.records:
        return "stays, because it has unreadable bytes; Kafka has its records"
    await asyncio.to_thread(path.unlink)
    return ""


def _aside(folder: Path) -> list[Path]:
    return sorted((folder / FOLDER).glob(f"*{ASIDE}"))


def _file(folder: Path, name: str) -> Path:
    found = {path.name: path for path in (*_aside(folder), *folder.glob(f"*{SUFFIX}"))}
    if name not in found:
        raise FileNotFoundError(2, "there is no such file: see `list`", name)
    return found[name]


if __name__ == "__main__":
    command.main("spool", main)
