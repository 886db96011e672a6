"""`SCHEMA_REGISTRY_*` properties -> a client of Confluent's schema registry."""

from collections.abc import Mapping

from confluent_kafka.schema_registry import SchemaRegistryClient

_REQUEST_SECONDS_MAX = 5.0


def client(properties: Mapping[str, str]) -> SchemaRegistryClient:
    """Build a client without connecting. Raises: ValueError."""
    try:
        return SchemaRegistryClient({**properties, "max.retries": 0, "timeout": _REQUEST_SECONDS_MAX})
    except (ValueError, TypeError, OSError) as error:
        raise ValueError(f"the client rejects SCHEMA_REGISTRY_*: {error}") from None
