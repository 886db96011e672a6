"""The key of a record: what decides its partition, and how readers find the app in it."""

from hypothesis import given
from hypothesis import strategies as st

from runtime.kafka import record_key

_IDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


def test_a_key_names_the_app_and_on_request_the_device() -> None:
    """An event without a device has its app's key in both forms."""
    assert record_key.of_app("app", "d-1") == b"app"
    assert record_key.of_device("app", "d-1") == b"app\0d-1"
    assert record_key.of_device("app", None) == record_key.of_device("app", "") == b"app"


@given(_IDS, _IDS | st.none())
def test_readers_find_the_app_in_both_forms(app_id: str, device_id: str | None) -> None:
    """Without knowing the setting of the ingest process that wrote it."""
    for key_of in record_key.KEYS.values():
        key = key_of(app_id, device_id)

        assert record_key.app_id_of(key) == app_id.encode()
        assert record_key.may_be_of(key, app_id)
        assert not record_key.may_be_of(key, app_id + "x")


def test_other_keys_are_read_too() -> None:
    """A record without a key may be of any app; an app_id with a zero byte is found by its own name."""
    assert record_key.app_id_of(None) is None
    assert record_key.app_id_of(b"") == b""
    assert record_key.may_be_of(None, "app")
    assert not record_key.may_be_of(b"apple\0d-1", "app")
    assert record_key.may_be_of(b"a\0b", "a\0b")
    assert record_key.may_be_of(b"a\0b\0d-1", "a\0b")
