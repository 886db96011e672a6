"""Rows to remove -> one DELETE for each partition, or one mutation, started together and awaited once.

A DELETE for a whole table rewrites every part of it, and those of one table run one after the other. With a
partition it touches only that partition's parts, and many run at a time.

Invariants: after `wait`, no removed row is visible. A started removal survives the death of this process and
a restart of ClickHouse. Source: docs/decisions/0033-removals.md.
"""

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

from clickhouse_connect.driver.client import Client

from consumers.kit.errors import TransientError
from consumers.warehouse.clickhouse import querying
from consumers.warehouse.tables import RAW, Options, literal, local, on_cluster, quoted
from runtime.waiting import wait_until

# From 500 unfinished ones on, ClickHouse delays the DELETEs of a table.
_UNFINISHED_MAX = 200
# Removals of large partitions take long, but one of them ends within this time.
_PROGRESS_SECONDS_MAX = 300.0
_POLL_SECONDS = 0.05


class Removals:
    """Removals of rows of `tapcart_raw`. Every method raises: TransientError."""

    def __init__(self, client: Client, options: Options) -> None:
        self._client = client
        self._options = options
        self._started = 0  # since the last `wait`
        self._tables: set[str] = set()

    def partitions(self, table: str, where: str, parameters: Mapping[str, Any]) -> list[str]:
        """Return the ids of the partitions that hold matching rows."""
        sql = f"SELECT DISTINCT _partition_id FROM {RAW}.{quoted(table)} WHERE {where} ORDER BY 1"  # noqa: S608 - our names
        with querying():
            return [name for (name,) in self._client.query(sql, parameters={**parameters}).result_rows]

    def start(self, table: str, partitions: Iterable[str], where: str, parameters: Mapping[str, Any]) -> None:
        """Start to remove the matching rows of these partitions.

        In `where`, the parameter `{partition:String}` is the partition's id. A subquery of another table is
        allowed if it reads only rows of the same shard.
        """
        for partition in partitions:
            if self._started == _UNFINISHED_MAX:
                self.wait()
            sql = (
                f"DELETE FROM {RAW}.{quoted(local(table, self._options))}{on_cluster(self._options)}"  # noqa: S608 - our names
                f" IN PARTITION ID {literal(partition)} WHERE {where}"
                " SETTINGS lightweight_deletes_sync = 0, allow_nondeterministic_mutations = 1"
            )
            with querying():
                self._client.command(sql, parameters={**parameters, "partition": partition})
            self._started += 1
            self._tables.add(local(table, self._options))

    def start_rewriting(self, table: str, where: str) -> None:
        """Start to remove the matching rows from the table's files; parts without any are not rewritten."""
        name = local(table, self._options)
        altered = f"ALTER TABLE {RAW}.{quoted(name)}{on_cluster(self._options)}"
        with querying():
            self._client.command(f"{altered} DELETE WHERE {where} SETTINGS mutations_sync = 0")
        self._started += 1
        self._tables.add(name)

    def wait(self) -> None:
        """Return once everything that was started is removed."""
        while left := self._left():
            if not wait_until(partial(self._are_fewer, left), _PROGRESS_SECONDS_MAX, _POLL_SECONDS):
                raise TransientError(f"ClickHouse removed nothing for {_PROGRESS_SECONDS_MAX:.0f} s")
        self._started = 0
        self._tables.clear()

    def _are_fewer(self, than: int) -> bool:
        return self._left() < than

    def _left(self) -> int:
        """Return the number of unfinished removals and of their parts; 0: all is removed."""
        if not self._tables:
            return 0
        mutations, cluster = "system.mutations", self._options.cluster
        if cluster:
            mutations = f"clusterAllReplicas({literal(cluster)}, {mutations})"
        sql = (
            f"SELECT toUInt64(count() + sum(parts_to_do)), max(latest_fail_reason) FROM {mutations}"  # noqa: S608 - our names
            f" WHERE database = '{RAW}' AND table IN {{tables:Array(String)}} AND NOT is_done"
        )
        with querying():
            found = self._client.query(sql, parameters={"tables": sorted(self._tables)}).result_rows
        ((left, reason),) = found
        if reason:
            raise TransientError(f"ClickHouse cannot remove rows: {reason[:500]}")
        return int(left)
