"""Tables of a cluster -> the same rows on every replica. Nothing happens on one server.

A query reads one replica of each shard, which may not have a part yet that another replica has. So a query
that must not miss a row comes after `synced`. A server that is away is not waited for. Source: ClickHouse's
documentation of SYSTEM SYNC REPLICA.
"""

from collections.abc import Iterable, Iterator

from clickhouse_connect.driver.client import Client

from consumers.warehouse.clickhouse import querying
from consumers.warehouse.tables import RAW, Options, local, on_cluster, quoted


def synced(client: Client, names: Iterable[str], options: Options) -> None:
    """Return once every replica has the rows that these tables had. Raises: TransientError."""
    with querying():
        for statement in statements(names, options):
            client.command(statement)


def statements(names: Iterable[str], options: Options) -> Iterator[str]:
    """Yield the statements that wait for the replicas of these tables; none for one server."""
    if options.cluster:
        for name in names:
            table = f"{RAW}.{quoted(local(name, options))}"
            yield f"SYSTEM SYNC REPLICA{on_cluster(options)} {table} LIGHTWEIGHT"
