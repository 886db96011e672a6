"""librdkafka properties of the environment -> the same, or the first problem, by its variable.

Invariants: connects to nothing; no text holds a value, except paths.
"""

from pathlib import Path
from typing import Any

_MECHANISMS = "SCRAM-SHA-512, SCRAM-SHA-256, PLAIN or OAUTHBEARER"


def variable(name: str, prefix: str = "KAFKA_") -> str:
    """Return the variable of a property: `ssl.ca.location` is `KAFKA_SSL_CA_LOCATION`."""
    return prefix + name.upper().replace(".", "_")


def has_servers(properties: dict[str, str]) -> dict[str, str]:
    """Check that there are servers. Raises: ValueError."""
    if "bootstrap.servers" not in properties:
        raise ValueError("must be `host:port`, comma separated")
    return properties


def are_usable(properties: dict[str, str]) -> dict[str, str]:
    """Check files and logins, then have librdkafka check the rest. Raises: ValueError."""
    for name, value in properties.items():
        if name.startswith("ssl.") and name.endswith(".location"):
            _check_file(variable(name), Path(value))
    is_sasl = properties.get("security.protocol", "").upper().startswith("SASL_")
    if is_sasl and not properties.keys() & {"sasl.mechanism", "sasl.mechanisms"}:
        raise ValueError(f"KAFKA_SASL_MECHANISM: must be {_MECHANISMS}, as the brokers offer it")
    _check_by_librdkafka(properties)
    return properties


def _check_file(name: str, path: Path) -> None:
    try:
        if not path.is_dir():
            path.open("rb").close()
    except OSError as error:
        raise ValueError(f"{name}: {path}: {error.strerror}") from None


def _check_by_librdkafka(properties: dict[str, str]) -> None:
    """Have it check them as producer and as consumer properties."""
    from confluent_kafka import Consumer, KafkaException, Producer  # noqa: PLC0415 - takes 0.1 s, only with Kafka

    own = {name: value for name, value in properties.items() if name != "bootstrap.servers"}
    quiet: dict[str, Any] = {**own, "log_level": "0"}
    try:
        Producer({**quiet, "enable.idempotence": "true"})
        Consumer({**quiet, "group.id": "tapline"}).close()
    except KafkaException as error:
        raise ValueError(f"KAFKA_*: {error.args[0].str()}") from None
