"""An event's ids <-> the key of its record, which decides its partition. Pure.

The key is the app_id. With INGEST_KEY=app_id,device_id it is the app_id, a zero byte and the device_id, so an
app's devices spread over all partitions, and each keeps its order. Invariant: a reader needs no setting,
because it finds the app in both forms. Source: docs/clients.md; docs/decisions/0038-key-of-a-device.md.
"""

from collections.abc import Callable, Mapping

_SEPARATOR = b"\0"

KeyOf = Callable[[str, str | None], bytes]


def of_app(app_id: str, _device_id: str | None) -> bytes:
    """Return the key of an app's events."""
    return app_id.encode()


def of_device(app_id: str, device_id: str | None) -> bytes:
    """Return the key of a device's events, or the app's for an event without a device."""
    return app_id.encode() + _SEPARATOR + device_id.encode() if device_id else app_id.encode()


KEYS: Mapping[str, KeyOf] = {"app_id": of_app, "app_id,device_id": of_device}  # by value of INGEST_KEY


def app_id_of(key: bytes | None) -> bytes | None:
    """Return the app_id in a key of either form."""
    return key and key.partition(_SEPARATOR)[0]


def may_be_of(key: bytes | None, app_id: str) -> bool:
    """Return whether the record may be of that app: only its value tells for sure."""
    app = app_id.encode()
    return key is None or key == app or key.startswith(app + _SEPARATOR)
