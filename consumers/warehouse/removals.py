"""Rows to remove -> one DELETE for each partition, or one mutation, started together and awaited once.

A DELETE for a whole table rewrites every part of it, and those of one table run one after the other. With a
partition it touches only that partition's parts, and many run at a time.

Invariants: after `wait`, no removed row is visible, on no replica of a cluster either. A started removal
survives the death of this process and a restart of ClickHouse. Source: docs/decisions/0033-removals.md.
"""

import secrets
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
        self._newest: dict[str, str] = {}  # local table -> the mark of its newest removal

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
            sql = removal(table, partition, self._marked(table, where), self._options)
            with querying():
                self._client.command(sql, parameters={**parameters, "partition": partition})
            self._started += 1

    def start_rewriting(self, table: str, where: str) -> None:
        """Start to remove the matching rows from the table's files; parts without any are not rewritten."""
        sql = rewriting(table, self._marked(table, where), self._options)
        with querying():
            self._client.command(sql)
        self._started += 1

    def wait(self) -> None:
        """Return once everything that was started is removed."""
        while left := self._left():
            if not wait_until(partial(self._are_fewer, left), _PROGRESS_SECONDS_MAX, _POLL_SECONDS):
                raise TransientError(f"ClickHouse removed nothing for {_PROGRESS_SECONDS_MAX:.0f} s")
        self._started = 0
        self._newest.clear()

    def _marked(self, table: str, where: str) -> str:
        """Return the condition with a mark by which the removal is found on a cluster's replicas."""
        mark = secrets.token_hex(8)
        self._newest[local(table, self._options)] = mark
        return f"({where}) AND '{mark}' != ''" if self._options.cluster else where

    def _are_fewer(self, than: int) -> bool:
        return self._left() < than

    def _left(self) -> int:
        """Return the number of unfinished removals and of their parts; 0: all is removed."""
        if not self._newest:
            return 0
        parameters = {"tables": [*self._newest], "marks": [*self._newest.values()]}
        with querying():
            found = self._client.query(unfinished(self._options), parameters=parameters).result_rows
        ((left, reason),) = found
        if reason:
            raise TransientError(f"ClickHouse cannot remove rows: {reason[:500]}")
        return int(left)


def removal(table: str, partition: str, where: str, options: Options) -> str:
    """Return the statement that removes the matching rows of a partition."""
    return (
        f"DELETE FROM {RAW}.{quoted(local(table, options))}{on_cluster(options)}"  # noqa: S608 - our names
        f" IN PARTITION ID {literal(partition)} WHERE {where}"
        " SETTINGS lightweight_deletes_sync = 0, allow_nondeterministic_mutations = 1"
    )


def rewriting(table: str, where: str, options: Options) -> str:
    """Return the statement that removes the matching rows from the table's files."""
    altered = f"ALTER TABLE {RAW}.{quoted(local(table, options))}{on_cluster(options)}"
    return f"{altered} DELETE WHERE {where} SETTINGS mutations_sync = 0"


def unfinished(options: Options) -> str:
    """Return the query for the number of unfinished removals with their parts, and a reason of a failure.

    Of a cluster, servers that do not know a table's newest removal yet count too: they read it from Keeper.
    """
    mutations, unknown = "system.mutations", ""
    if options.cluster:
        everywhere = f"clusterAllReplicas({literal(options.cluster)}, "
        mutations = f"{everywhere}{mutations})"
        servers = f"(SELECT uniqExact(hostName()) FROM {everywhere}system.one))"  # noqa: S608 - our names
        is_newest = "arrayExists(mark -> position(command, mark) > 0, {marks:Array(String)})"
        unknown = (
            f" + {servers} * length({{tables:Array(String)}}) - uniqExactIf((hostName(), table), {is_newest})"
        )
    return (
        f"SELECT toUInt64(countIf(NOT is_done) + sumIf(parts_to_do, NOT is_done){unknown}),"  # noqa: S608 - our names
        f" maxIf(latest_fail_reason, NOT is_done) FROM {mutations}"
        f" WHERE database = '{RAW}' AND table IN {{tables:Array(String)}}"
    )
