"""The environment becomes settings, or all problems are reported."""

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
