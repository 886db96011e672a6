"""The environment becomes settings, or all problems are reported."""

from datetime import UTC, datetime, timedelta

import pytest

from consumers.warehouse.settings import Settings
from runtime.environment import SettingsError

ENOUGH = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092"}


def test_kafka_alone_is_enough() -> None:
    """All others have defaults, and Kafka's properties reach the clients unchanged."""
    settings = Settings.from_env(ENOUGH | {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_PORT": "1"})

    assert settings.kafka == {"bootstrap.servers": "127.0.0.1:9092", "security.protocol": "SSL"}
    assert settings.group == "tapline.warehouse"


def test_every_problem_is_told_at_once() -> None:
    """One line each, by the variable's name."""
    wrong = {
        "WAREHOUSE_BATCH_ROWS_MAX": "x",
        "WAREHOUSE_CLUSTER": "a'b",
        "WAREHOUSE_TIME_ZONE": "Europe/Atlantis",
        "CLICKHOUSE_URL": "host",
    }
    with pytest.raises(SettingsError) as raised:
        Settings.from_env(wrong)
    told = sorted(line.partition(":")[0] for line in str(raised.value).splitlines())

    assert told == sorted([*wrong, "KAFKA_BOOTSTRAP_SERVERS"])


def test_password_shows_nowhere() -> None:
    """Neither in the settings' text nor in an error."""
    settings = Settings.from_env(ENOUGH | {"CLICKHOUSE_URL": "http://me:hunter2@h:1"})
    with pytest.raises(SettingsError) as raised:
        Settings.from_env(ENOUGH | {"CLICKHOUSE_URL": "ftp://me:hunter2@h:1"})

    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(raised.value)


def test_single_tables_have_a_retention_of_their_own() -> None:
    """By name."""
    name = "WAREHOUSE_TTL_DAYS_BY_TABLE"
    options = Settings.from_env(ENOUGH | {name: " quarantine = 0, app_opened=9,"}).table_options

    assert (options.ttl_days_of("app_opened"), options.ttl_days_of("quarantine")) == (9, 0)
    assert Settings.from_env(ENOUGH | {name: ""}).ttl_days_by_table == {}


@pytest.mark.parametrize(
    "wrong", ["a", "a=", "=1", "a=-1", "a=1.5", "a=20001", "a=1,a=2", "a b=1", "a=\u0661"]
)
def test_a_wrong_retention_is_an_error(wrong: str) -> None:
    """It says what is right."""
    with pytest.raises(SettingsError, match="WAREHOUSE_TTL_DAYS_BY_TABLE: must be `table=days`"):
        Settings.from_env(ENOUGH | {"WAREHOUSE_TTL_DAYS_BY_TABLE": wrong})


def test_the_longest_retention_ends_before_clickhouse_runs_out_of_time() -> None:
    """A DateTime ends in February 2106, and continues in 1970: every row would have expired."""
    longest = Settings.from_env(ENOUGH | {"WAREHOUSE_TTL_DAYS": "20000"}).ttl_days
    with pytest.raises(SettingsError, match="WAREHOUSE_TTL_DAYS"):
        Settings.from_env(ENOUGH | {"WAREHOUSE_TTL_DAYS": "20001"})

    assert datetime(2050, 12, 31, tzinfo=UTC) + timedelta(days=longest) < datetime(2106, 2, 7, tzinfo=UTC)
