"""Rows of some partitions are removed by statements that are started together and awaited once."""

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from consumers.kit.errors import TransientError
from consumers.warehouse import removals
from consumers.warehouse.clickhouse import connect
from consumers.warehouse.removals import Removals
from consumers.warehouse.tables import RAW, Options
from tests.support.stack import Stack
from tests.support.warehouse import Tables

_DAYS = 12


@dataclass(frozen=True)
class Site:
    """A table of twelve days, with two rows each, and its removals."""

    name: str
    tables: Tables
    removals: Removals

    def rows(self) -> list[list[int]]:
        """Return day and id of every visible row."""
        return self.tables.rows(f"SELECT day, id FROM {RAW}.{self.name} ORDER BY day, id")


@pytest.fixture
def site(services: Stack) -> Iterator[Site]:
    """Return a table of its own."""
    name, tables = f"removal_{uuid.uuid4().hex[:8]}", Tables(services.clickhouse_url)
    tables.run(f"CREATE DATABASE IF NOT EXISTS {RAW}")
    tables.run(
        f"CREATE TABLE {RAW}.{name} (day UInt32, id UInt32) ENGINE = MergeTree PARTITION BY day ORDER BY id"
    )
    tables.run(f"INSERT INTO {RAW}.{name} SELECT intDiv(number, 2), number % 2 FROM numbers({2 * _DAYS})")
    client = connect(services.clickhouse_url, 30)
    yield Site(name, tables, Removals(client, Options()))
    client.close()
    tables.run(f"DROP TABLE {RAW}.{name} SYNC")


@pytest.mark.parametrize("together", [200, 5])
def test_matching_rows_of_the_given_days_are_removed(
    site: Site, monkeypatch: pytest.MonkeyPatch, together: int
) -> None:
    """Each by a statement for its partition only; all are gone after the wait, however many run at a time."""
    monkeypatch.setattr(removals, "_UNFINISHED_MAX", together)
    where, parameters = "id = 1 AND day < {end:UInt32} AND toString(day) = {partition:String}", {"end": 10}
    partitions = site.removals.partitions(site.name, "id = 1 AND day < {end:UInt32}", parameters)
    site.removals.start(site.name, partitions, where, parameters)
    site.removals.wait()

    assert sorted(partitions, key=int) == [str(day) for day in range(10)]
    assert site.rows() == [[day, one] for day in range(_DAYS) for one in (0, 1) if day >= 10 or not one]
    commands = f"SELECT command FROM system.mutations WHERE table = '{site.name}'"
    found = site.tables.rows(commands)
    assert len(found) == 10
    assert all("IN PARTITION ID" in command for (command,) in found)


def test_a_removal_that_fails_is_an_error_with_its_reason(site: Site) -> None:
    """Nothing waits for ever."""
    site.removals.start(site.name, ["3"], "throwIf(id = 1, 'not this row') = 0", {})

    with pytest.raises(TransientError, match="not this row"):
        site.removals.wait()


def test_nothing_to_remove_is_nothing_to_wait_for(site: Site) -> None:
    """No partition, no statement."""
    site.removals.start(site.name, site.removals.partitions(site.name, "id = 7", {}), "id = 7", {})
    site.removals.wait()

    assert len(site.rows()) == 2 * _DAYS
