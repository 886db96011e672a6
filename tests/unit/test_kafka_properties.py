"""KAFKA_* variables that cannot work are reported at the start, by name."""

from pathlib import Path

import pytest

from consumers.live.settings import Settings
from runtime.environment import SettingsError

SASL = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
    "KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
    "KAFKA_SASL_USERNAME": "live",
    "KAFKA_SASL_PASSWORD": "pass-word",
}


def problem(env: dict[str, str]) -> str:
    """Return what is wrong, which never holds the password."""
    with pytest.raises(SettingsError) as raised:
        Settings.from_env(env)
    assert "pass-word" not in str(raised.value)
    return str(raised.value)


def test_a_file_of_certificates_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """By its variable, path and reason."""
    missing = tmp_path / "ca.pem"

    said = problem(SASL | {"KAFKA_SSL_CA_LOCATION": str(missing)})
    assert said == f"KAFKA_SSL_CA_LOCATION: {missing}: No such file or directory"
    missing.write_text("no certificate")
    assert "ssl.ca.location failed" in problem(SASL | {"KAFKA_SSL_CA_LOCATION": str(missing)})


def test_a_login_needs_its_mechanism() -> None:
    """The default of librdkafka, GSSAPI, is in none of its packages."""
    env = {name: value for name, value in SASL.items() if name != "KAFKA_SASL_MECHANISM"}

    assert problem(env).startswith("KAFKA_SASL_MECHANISM: must be SCRAM-SHA-512, ")
    assert Settings.from_env(SASL).kafka["sasl.username"] == "live"
