"""Each mechanism exists once: retries, ClickHouse connections, schema reloads, headers, names, bounds."""

import pytest

from tests.support.stack import ROOT

_PRODUCT = ("runtime", "schemas", "ingest", "consumers", "deploy")


@pytest.mark.parametrize(
    ("text", "places"),
    [
        # The demo's sender imitates Tapcart, which retries by its own rules.
        ("import tenacity", set()),
        ("from tenacity import", {"runtime/retry.py", "deploy/demo/sender.py"}),
        ("clickhouse_connect.get_client(", {"runtime/clickhouse.py"}),
        ("sys.exit(", {"runtime/command.py", "consumers/kit/command.py"}),
        ('"crc32"', {"runtime/kafka/record_headers.py"}),
        ("1_262_304_000_000", {"schemas/catalog/event_time.py"}),
        ('"carts_abandoned"', {"schemas/catalog/table_names.py"}),
        ("sleep(CHECK_SECONDS)", {"schemas/catalog/schema_reloader.py", "ingest/http/token_follower.py"}),
    ],
)
def test_a_mechanism_is_used_in_its_module_alone(text: str, places: set[str]) -> None:
    """All others call that module."""
    paths = [path for part in _PRODUCT for path in (ROOT / part).rglob("*.py")]

    assert {path.relative_to(ROOT).as_posix() for path in paths if text in path.read_text()} == places


def test_no_module_is_too_long_to_read() -> None:
    """At most 300 lines; a longer one has two purposes."""
    paths = [path for part in _PRODUCT for path in (ROOT / part).rglob("*.py")]
    lines = {path.relative_to(ROOT).as_posix(): path.read_text().count("\n") for path in paths}

    assert {path: count for path, count in lines.items() if count > 300} == {}
