"""The stack's ClickHouse as a cluster of two shards in one process: `python -m tests.support.sharded_engine`.

The engine executes a query of a Distributed table once for each shard, as a server does for a shard of its
own. Both shards are this process, so a filter gives each query the rows of its shard only. Keeper and other
servers do not exist: ON CLUSTER is left out, Replicated tables are plain ones, and there is no replica to
wait for. Invariant: no other statement is changed.
"""

import re
from typing import Any
from xml.sax.saxutils import escape

from consumers.warehouse.analytics import visits
from consumers.warehouse.tables import RAW, Options, local, tables
from deploy.local.clickhouse import __main__ as front
from deploy.local.clickhouse import configuration, statement
from runtime.process import main
from tests.support.warehouse import CATALOG

CLUSTER = "two"
_SHARD = "<shard><replica><host>127.0.0.1</host><port>9000</port></replica></shard>"
_ELSEWHERE = (
    (re.compile(rb" ON CLUSTER '\w+'"), b""),
    (re.compile(rb"Replicated(\w+MergeTree)\('[^']*', '\{replica\}'(?:, )?"), rb"\1("),
    (re.compile(rb"\ASYSTEM SYNC REPLICA .*", re.DOTALL), b"SELECT 1"),
    # The embedded engine reads nothing by input(), so the front refuses it.
    (
        re.compile(rb"\sFROM INFILE '(\S+)' SELECT \* FROM input\((.*)\)\s+FORMAT (\w+)\Z", re.DOTALL),
        rb" SELECT * FROM file('\1', \3, \2)",
    ),
)
_OPTIONS = Options(cluster=CLUSTER)
_BY_DEVICE = (visits.NAME, "events", "wished")  # the last is a type that a test adds


def filters() -> str:
    """Return, for each table with files, the condition for the rows of the shard that is queried."""
    sharding = {table.name: table.sharding for table in tables(CATALOG)}
    sharding |= dict.fromkeys(_BY_DEVICE, "cityHash64(app_id, device_id)")
    rows = {
        f"{RAW}.{local(name, _OPTIONS)}": f"shardNum() = 0 OR {key} % 2 = shardNum() - 1"
        for name, key in sharding.items()
    } | {"system.tables": "shardNum() < 2"}
    return "{" + ", ".join(f"'{name}': '{condition}'" for name, condition in rows.items()) + "}"


def on_two_shards() -> None:
    """Change the stack's ClickHouse, before it starts."""
    servers = f"<tcp_port>9000</tcp_port><remote_servers><{CLUSTER}>{2 * _SHARD}</{CLUSTER}></remote_servers>"
    configuration._CONFIG = configuration._CONFIG.replace("<clickhouse>", f"<clickhouse>{servers}", 1)
    chosen = f"<additional_table_filters>{{{escape(filters())}}}</additional_table_filters>"
    configuration._USERS = configuration._USERS.replace("<default>", f"<default>{chosen}", 1)
    configuration._GRANTS = (*configuration._GRANTS, "GRANT READ, WRITE ON REMOTE", "GRANT READ ON FILE")
    front._confine = lambda settings: ()  # noqa: ARG005 - the same name
    statement._refuse_input = lambda: None
    from deploy.local.clickhouse import engine  # noqa: PLC0415 - it loads the engine

    run = engine._run

    def run_here(connection: Any, text: bytes, form: str = engine._ROW) -> Any:
        for pattern, instead in _ELSEWHERE:
            text = pattern.sub(instead, text)
        return run(connection, text, form)

    engine._run = run_here


if __name__ == "__main__":
    on_two_shards()
    main("ClickHouse", front._serve)
