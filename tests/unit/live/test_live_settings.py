"""The environment of the live page."""

import pytest

from consumers.live.settings import Settings
from runtime.environment import SettingsError

ENOUGH = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092"}
SESAME = "0123456789abcdef"


def test_defaults_need_only_kafka_and_stay_on_this_machine() -> None:
    """One variable suffices; the page binds to loopback and needs no token."""
    settings = Settings.from_env(ENOUGH)

    assert (settings.host, settings.port, settings.token) == ("127.0.0.1", 8081, None)
    assert settings.clickhouse_url.get_secret_value() == "http://127.0.0.1:8123"


@pytest.mark.parametrize("host", ["::", "192.0.2.7", "example.org", "localhost.example.org"])
def test_other_machines_need_a_token(host: str) -> None:
    """Bound to anything but loopback, the page does not start without LIVE_TOKEN."""
    with pytest.raises(SettingsError, match="LIVE_TOKEN: must be set"):
        Settings.from_env(ENOUGH | {"LIVE_HOST": host})

    assert Settings.from_env(ENOUGH | {"LIVE_HOST": host, "LIVE_TOKEN": SESAME}).token


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost", "LOCALHOST"])
def test_loopback_needs_none(host: str) -> None:
    """The page is open on this machine only."""
    assert Settings.from_env(ENOUGH | {"LIVE_HOST": host}).token is None


def test_all_problems_are_told_at_once() -> None:
    """One start reports every problem, by variable name."""
    wrong = {
        "LIVE_PORT": "http",
        "LIVE_TOKEN": "short",
        "LIVE_INGEST_URL": "ftp://x",
        "CLICKHOUSE_URL": "clickhouse",
        "LIVE_QUERY_SHARE_MAX": "2",
        "WAREHOUSE_TIME_ZONE": "Europe/Atlantis",
    }
    with pytest.raises(SettingsError) as raised:
        Settings.from_env(wrong)

    named = {line.partition(":")[0] for line in str(raised.value).splitlines()}
    assert named == {*wrong, "KAFKA_BOOTSTRAP_SERVERS"}


def test_secrets_do_not_show() -> None:
    """Neither the token nor ClickHouse's password is in a repr or an error."""
    env = ENOUGH | {"LIVE_TOKEN": SESAME, "CLICKHOUSE_URL": "http://me:s3cret@example.org:8123"}
    shown = repr(Settings.from_env(env))
    with pytest.raises(SettingsError) as raised:
        Settings.from_env(env | {"LIVE_TOKEN": "s3cret", "CLICKHOUSE_URL": "me:s3cret@example.org"})

    assert SESAME not in shown
    assert "s3cret" not in shown
    assert "s3cret" not in str(raised.value)
