"""Tables -> tables whose files can be searched as bytes, and the search.

ClickHouse compresses columns with ZSTD, whose output does not hold a text's own bytes. Invariant: call
`store_plain` before the tables have rows; older parts stay compressed until a merge.
"""

import time
from collections.abc import Collection, Iterator
from pathlib import Path

from tests.support.waiting import patience
from tests.support.warehouse import Tables

# An idle table looks for old files once in 60 to 70 s (max_cleanup_delay_period).
OLD_FILES_SECONDS_MAX = 150.0
_TABLES = "SELECT name FROM system.tables WHERE database = 'tapcart_raw' AND engine LIKE '%MergeTree'"
# ALIAS columns have no files.
_COLUMNS = (
    "SELECT name FROM system.columns WHERE database = 'tapcart_raw' AND table = '{table}'"
    " AND default_kind != 'ALIAS' AND compression_codec != ''"
)
_PLAIN = ("default_compression_codec", "primary_key_compression_codec", "marks_compression_codec")


def store_plain(tables: Tables) -> None:
    """Make every table write its columns uncompressed, and delete replaced parts at once."""
    settings = ", ".join([*(f"{name} = 'NONE'" for name in _PLAIN), "old_parts_lifetime = 1"])
    for (table,) in tables.rows(_TABLES):
        columns = [name for (name,) in tables.rows(_COLUMNS.format(table=table))]
        codecs = ", ".join(f"MODIFY COLUMN `{name}` CODEC(NONE)" for name in columns)
        tables.run(f"ALTER TABLE tapcart_raw.`{table}` MODIFY SETTING {settings}")
        if codecs:
            tables.run(f"ALTER TABLE tapcart_raw.`{table}` {codecs}")


def forms(texts: Collection[str]) -> list[bytes]:
    """Return the bytes by which a file may hold these texts: as they are, and in hex."""
    plain = [text.encode() for text in texts]
    in_hex = [one.hex().encode() for one in plain]
    return [*plain, *in_hex, *(one.upper() for one in in_hex)]


def holding(folder: Path, texts: Collection[str], left_out: Collection[Path] = ()) -> Iterator[str]:
    """Yield each file below a folder that holds one of these texts, and which; but for folders left out."""
    wanted = forms(texts)
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not any(path.is_relative_to(one) for one in left_out):
            try:
                held = path.read_bytes()
            except FileNotFoundError:
                continue
            if found := [one for one in wanted if one in held]:
                yield f"{path.relative_to(folder)}: {found[0].decode()}"


def left_after(
    seconds_max: float, folder: Path, texts: Collection[str], left_out: Collection[Path] = ()
) -> list[str]:
    """Return the files that still hold one of these texts at the deadline; none as soon as none is left."""
    began = time.monotonic()
    while (
        found := [*holding(folder, texts, left_out)]
    ) and time.monotonic() - began < seconds_max * patience():
        time.sleep(1)
    return found
