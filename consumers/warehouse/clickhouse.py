"""Containers -> rows in ClickHouse, by the loader's connection.

Invariants: every insert names its columns, because ClickHouse would silently skip a column that no longer
exists. Every error becomes one of `errors`. One thread at a time. The reasons for the settings are in
docs/decisions/0018-clickhouse-tables.md.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError, Error
from confluent_kafka import KafkaException

from consumers.kit.errors import TransientError
from consumers.warehouse import probe, table_changes, tables, views
from consumers.warehouse.analytics import views as analytics
from consumers.warehouse.analytics import visits
from consumers.warehouse.clickhouse_errors import TRANSIENT, mapped
from consumers.warehouse.errors import TablesError
from consumers.warehouse.load.container import Format
from consumers.warehouse.tables import RAW, Options, Table
from runtime import clickhouse
from runtime.clickhouse import AccessError
from schemas.catalog.columns import JSON

_log = logging.getLogger(__name__)

SETTINGS = {
    "input_format_avro_allow_missing_fields": 1,
    "input_format_avro_null_as_default": 1,
    "input_format_null_as_default": 1,
    "type_json_skip_duplicated_paths": 1,
    # The answer must mean that the rows are stored.
    "async_insert": 0,
    # A replay may touch any number of days.
    "max_partitions_per_insert_block": 0,
    # Identity decides what is a duplicate. By a block's hash, a row that was deleted could not be loaded
    # again.
    "insert_deduplicate": 0,
    # A column that a release does not have is empty; one that is computed is MATERIALIZED, and computed.
    "input_format_defaults_for_omitted_fields": 0,
    # One thread reads Avro, whatever is allowed; others only cost their start.
    "max_threads": 1,
    "max_insert_threads": 1,
}
_ON_A_CLUSTER = {
    # The answer must mean that the rows are stored, on their shards.
    "distributed_foreground_insert": 1,
    # A server that is away executes a statement once it is back, and nobody waits for it.
    "distributed_ddl_output_mode": "none_only_active",
}


class ClickHouseStore:
    """One connection to ClickHouse, made when first needed."""

    def __init__(
        self,
        url: str,
        found: tuple[Table, ...],
        options: Options,
        insert_seconds_max: float,
        log_ids: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self.tables = found  # tables to create; the tables of a later catalog replace them
        self._url = url
        self._options = options
        self._seconds_max = insert_seconds_max
        self._log_ids = log_ids  # topic -> the log in use; raises KafkaException
        self._client: Client | None = None

    def insert(self, form: Format, data: bytes) -> None:
        """Store a container's rows. Raises: TransientError and its kinds, PermanentError."""
        target = tables.target(self._table(form), form.columns, self._options)
        try:
            self._connected().raw_insert(target, None, data, settings=SETTINGS, fmt="Avro")
        except ClickHouseError as error:
            raise mapped(error) from error

    def answers(self) -> bool:
        """Return whether ClickHouse answers a query."""
        try:
            self._connected().command("SELECT 1")
        except ClickHouseError:
            return False
        return True

    def stores_another(self, form: Format, day: int | None) -> bool:
        """Return whether the table stores other rows of this day, in a container."""
        run = self._connected()
        try:
            probe.write_again(run, form, day, SETTINGS, tables.inserts(self._table(form), self._options))
            probe.write_mark(run, SETTINGS)
        except ClickHouseError:
            return False
        return True

    def make_tables(self) -> None:
        """Create or extend every table, and replace every view. Raises: TransientError."""
        try:
            for statement in tables.creations(self.tables, self._options):
                self._connected().command(statement)
            existing = self._columns()
            engines: Any = self._connected().query(table_changes.engines()).result_rows
            logs = self._log_ids() if table_changes.lack_log(self.tables, existing) else {}
            changes = table_changes.changes(self.tables, existing, dict(engines), logs, self._options)
            for event, statement in changes:
                _log.warning(event, extra={"statement": statement})
                self._connected().command(statement)
            for table, column, has, wants in table_changes.differences(self.tables, existing):
                if wants == JSON:  # the column is being changed
                    continue
                extra = {"table": table, "column": column, "type": has, "type_expected": wants}
                _log.warning("column_type_differs", extra=extra)
            # Where the last view exists, everything else exists.
            *views_of_tables, last = views.views(self.tables, self._options)
            for statement in views_of_tables:
                self._connected().command(statement)
            self._make_visits()
            self._make_analytics()
            self._connected().command(last)
        except (ClickHouseError, KafkaException) as error:
            # An error here is never the fault of a row, whatever its code.
            raise TransientError(str(error)[:2000]) from error

    def close(self) -> None:
        """Close the connection."""
        if self._client is not None:
            self._client.close()
            self._client = None

    def _table(self, form: Format) -> Table:
        for table in self.tables:
            if table.name == form.table:
                return table
        raise TablesError(f"the catalog in use has no table {form.table}", None)

    def _make_visits(self) -> None:
        """Create the table that the analytics views read, and fill it from the stored events.

        The table's comment says so until it is filled. After a kill at any line, the next start continues.
        """
        run = self._connected()
        sources, options = visits.sources(self.tables), self._options
        present = self._tables_like(visits.NAME)
        comment = present.get(visits.NAME, "")
        feeders = {name for name in present if name.startswith(visits.feeder(""))}
        if visits.fingerprint(options) not in comment:
            for statement in visits.removals(sorted(feeders), options):
                run.command(statement)
            feeders = set()
        elif feeders >= set(map(visits.feeder, sources)) and comment == visits.mark(options, filled=True):
            return
        else:
            run.command(visits.marking(options, filled=False))
        for statement in visits.creations(sources, options):
            run.command(statement)
        days = [day for (day,) in run.query(visits.days()).result_rows]
        for day in days:
            run.command(visits.filling(day, options))
        run.command(visits.marking(options, filled=True))
        _log.info("visits_filled", extra={"days": len(days)})

    def _make_analytics(self) -> None:
        names = [table.name for table in self.tables]
        for name, statement in analytics.statements(names, self._options):
            try:
                self._connected().command(statement)
            except ClickHouseError as error:
                # A view must not stop loading. Errors that are not the view's fault are retried.
                if not isinstance(error, Error) or error.code is None or error.code in TRANSIENT:
                    raise
                _log.exception("analytics_view_refused", extra={"view": name})

    def _tables_like(self, prefix: str) -> dict[str, str]:
        sql = (
            "SELECT name, comment FROM system.tables"
            " WHERE database = {database:String} AND startsWith(name, {prefix:String})"
        )
        parameters = {"database": RAW, "prefix": prefix}
        rows: Any = self._connected().query(sql, parameters=parameters).result_rows
        return dict(rows)

    def _columns(self) -> dict[str, dict[str, str]]:
        sql = "SELECT table, name, type FROM system.columns WHERE database = {database:String}"
        existing: dict[str, dict[str, str]] = {}
        rows = self._connected().query(sql, parameters={"database": RAW}).result_rows
        for table, name, kind in rows:
            existing.setdefault(table, {})[name] = kind
        return existing

    def _connected(self) -> Client:
        if self._client is None:
            self._client = connect(self._url, self._seconds_max)
        return self._client


def connect(url: str, seconds_max: float, **settings: Any) -> Client:
    """Return a client for the loader and its repair commands. Raises: clickhouse_connect's errors."""
    given = _ON_A_CLUSTER | settings
    return clickhouse.connect(url, "tapline.warehouse", seconds_max, given, is_compressed=False)


@contextmanager
def querying() -> Iterator[None]:
    """Raise clickhouse_connect's errors as TransientError: no row is at fault."""
    try:
        yield
    except ClickHouseError as error:
        text = str(error)[:500]
        raise TransientError(text if isinstance(error, AccessError) else f"ClickHouse: {text}") from error
