"""The environment of ingest."""

import pytest

from ingest.settings import Settings
from runtime.environment import SettingsError

ENOUGH = {"INGEST_TOKENS": "s3cret-of-16-or-more", "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092"}


def test_defaults_need_only_a_token_and_kafka() -> None:
    """Two variables suffice; everything binds to loopback."""
    settings = Settings.from_env(ENOUGH)

    assert (settings.host, settings.port) == ("127.0.0.1", 8080)
    assert settings.tokens[0].app_ids == frozenset()


def test_a_token_may_be_bound_to_apps() -> None:
    """`secret:app1|app2` is bound, a bare secret is not."""
    settings = Settings.from_env(ENOUGH | {"INGEST_TOKENS": "the-first-of-two:app1|app2, the-second-of-two"})

    assert [token.app_ids for token in settings.tokens] == [{"app1", "app2"}, set()]
    assert [token.secret for token in settings.tokens] == ["the-first-of-two", "the-second-of-two"]


def test_every_librdkafka_property_can_be_given() -> None:
    """`KAFKA_SECURITY_PROTOCOL` is `security.protocol`; the stack's own KAFKA_PORT is not a property."""
    settings = Settings.from_env(ENOUGH | {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_PORT": "9092"})

    assert settings.kafka == {"bootstrap.servers": "127.0.0.1:9092", "security.protocol": "SSL"}


def test_all_problems_are_told_at_once() -> None:
    """One start reports every problem, by variable name."""
    with pytest.raises(SettingsError) as raised:
        Settings.from_env(
            {
                "INGEST_PORT": "http",
                "INGEST_TOKENS": "a:",
                "INGEST_SPOOL_BYTES_MAX": "1",
                "INGEST_ADDRESSES": "10.0.0.0/8,nowhere",
                "INGEST_KEY": "device_id",
            }
        )

    lines = str(raised.value).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "INGEST_PORT",
        "INGEST_TOKENS",
        "INGEST_ADDRESSES",
        "INGEST_SPOOL_BYTES_MAX",
        "INGEST_KEY",
        "KAFKA_BOOTSTRAP_SERVERS",
    ]


def test_no_secret_shows() -> None:
    """Neither a repr nor an error text holds a secret."""
    assert "s3cret" not in repr(Settings.from_env(ENOUGH))
    with pytest.raises(SettingsError) as raised:
        Settings.from_env(ENOUGH | {"INGEST_TOKENS": "s3cret-of-16-or-more:"})

    assert "s3cret" not in str(raised.value)
