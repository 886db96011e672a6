"""Settings of the one-machine stack and of the ClickHouse front."""

import pytest

from deploy.local import services
from deploy.local.clickhouse import settings as front
from deploy.local.errors import StackError
from deploy.local.settings import Settings
from runtime.environment import SettingsError


def test_lists_every_bad_setting_at_once() -> None:
    """Fixing one should not reveal the next at the next start."""
    with pytest.raises(StackError) as refused:
        Settings.from_env({"INGEST_PORT": "x", "KAFKA_PORT": "70000"})

    assert "INGEST_PORT" in str(refused.value)
    assert "KAFKA_PORT" in str(refused.value)


def test_lists_every_bad_setting_of_the_front_at_once() -> None:
    """The same for the front, started alone by tests and by the stack."""
    with pytest.raises(SettingsError) as refused:
        front.Settings.from_env({"CLICKHOUSE_QUERIES_MAX": "0", "CLICKHOUSE_QUERY_SECONDS_MAX": "-1"})

    assert "CLICKHOUSE_QUERIES_MAX" in str(refused.value)
    assert "CLICKHOUSE_QUERY_SECONDS_MAX" in str(refused.value)


def test_shows_no_secret() -> None:
    """Neither in a representation nor in an error."""
    settings = Settings.from_env({"INGEST_TOKENS": "hush", "CLICKHOUSE_PASSWORD": "hush"})

    assert "hush" not in repr(settings)


def test_does_not_start_what_is_outside() -> None:
    """An address in the environment means that the service runs elsewhere."""
    outside = Settings.from_env({"CLICKHOUSE_URL": "http://ch:8123", "KAFKA_BOOTSTRAP_SERVERS": "k:9092"})

    assert services.started(outside, {"kafka", "clickhouse", "ingest"}) == {"ingest"}
    assert services.addresses(outside).clickhouse == "http://ch:8123"
    assert services.addresses(outside).kafka == "k:9092"


def test_shows_no_password_in_addresses() -> None:
    """Services log in with the password; people see the address without it."""
    inside = services.addresses(Settings.from_env({"CLICKHOUSE_PASSWORD": "a/b@c"}))
    outside = services.addresses(Settings.from_env({"CLICKHOUSE_URL": "https://me:hush@ch:8443/"}))

    assert (inside.clickhouse, inside.clickhouse_login) == (
        "http://127.0.0.1:8123",
        "http://default:a%2Fb%40c@127.0.0.1:8123",
    )
    assert (outside.clickhouse, outside.clickhouse_login) == ("https://ch:8443", "https://me:hush@ch:8443/")
    assert "hush" not in repr(outside)
