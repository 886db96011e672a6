"""A folder of passwords -> the SQL of ClickHouse's users, with the passwords' hashes.

Invariant: no text holds a password. Source: clickhouse/users.sql.
"""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path

from deploy.security.kafka_users import password

_SQL = Path(__file__).parent / "clickhouse/users.sql"
USERS = ("loader", "live", "eraser", "analyst")


def statements(folder: Path, apps: Sequence[str]) -> str:
    """Return the SQL; passwords are in `<folder>/clickhouse-<user>.password`, written if they do not exist.

    `apps`: the analyst reads their events only; empty: those of all apps.
    """
    text = _SQL.read_text()
    for user in USERS:
        digest = hashlib.sha256(password(folder, f"clickhouse-{user}").encode()).hexdigest()
        text = text.replace(f"'{{{user}}}'", f"'{digest}'")
    return text.replace("{app}", f"app_id IN ({', '.join(map(_quoted, apps))})" if apps else "1")


def split(text: str) -> list[str]:
    """Return the single statements, without comments."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("--"))
    return [one.strip() for one in re.split(r";\n", lines) if one.strip()]


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
