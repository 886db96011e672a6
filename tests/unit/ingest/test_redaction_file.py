"""The file of redaction rules and its key -> compiled rules, or every problem."""

import json
from pathlib import Path

import pytest

from ingest.redaction_file import of_settings, read
from ingest.settings import Settings
from runtime.environment import SettingsError
from tests.support.process import ROOT
from tests.unit.ingest.test_settings import ENOUGH

RULES = """
[all]
device_id = "hash"
device_properties.ip = "truncate"

[all.event_properties]
"e.mail" = "drop"

[event.CartViewed]
device_id = "drop"
"""


@pytest.fixture
def key(tmp_path: Path) -> Path:
    """A file with a key."""
    path = tmp_path / "key"
    path.write_text("0123456789abcdef" * 4 + "\n")
    path.chmod(0o600)
    return path


def test_rules_are_read(tmp_path: Path, key: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A dot leads into a member; a quoted name may have a dot. The log has their number and types."""
    caplog.set_level("INFO")
    path = tmp_path / "rules.toml"
    path.write_text(RULES)
    body = {"device_id": "d", "device_properties": {"ip": "192.0.2.7"}, "event_properties": {"e.mail": "m"}}
    env = ENOUGH | {"INGEST_REDACT": str(path), "INGEST_REDACT_KEY_FILE": str(key)}
    redaction = of_settings(Settings.from_env(env))
    assert redaction is not None
    kept, of_type = (
        json.loads(redaction.body(json.dumps(body | {"event_type": name}).encode()))
        for name in ("AppOpened", "CartViewed")
    )

    [line] = caplog.records

    assert (line.message, vars(line)["rules"], vars(line)["event_types"]) == (
        "redaction_in_use",
        4,
        ["CartViewed"],
    )
    assert kept["device_id"].startswith("hmac:")
    assert kept["device_properties"] == {"ip": "192.0.2.0"}
    assert kept["event_properties"] == {}
    assert "device_id" not in of_type


def test_the_documented_rules_are_valid(tmp_path: Path, key: Path) -> None:
    """Those of deploy/privacy.md."""
    path = tmp_path / "rules.toml"
    path.write_text((ROOT / "deploy/privacy.md").read_text().split("```toml\n")[1].split("```")[0])
    event = json.dumps({"event_type": "CheckoutCreated", "event_properties": {"zip": "94103", "e.mail": "m"}})

    redaction = read(path, key, keeps_unparsed=False)

    assert json.loads(redaction.body(event.encode()))["event_properties"] == {"zip": "941"}


def test_no_file_no_rules() -> None:
    """Nothing is redacted by default."""
    assert of_settings(Settings.from_env(ENOUGH)) is None


def test_every_problem_is_reported_at_once(tmp_path: Path, key: Path) -> None:
    """By section and path; a key that others may read, or a short one, is refused."""
    path = tmp_path / "rules.toml"
    path.write_text(
        '[al]\nx = "drop"\n[all]\napp_id = "hash"\nip = "shred"\nzip = 3\nmetadata.schema_id = "drop"\n'
        'mail = "hash"\n[event]\nCartViewed = "drop"\n'
    )
    key.write_text("short")
    key.chmod(0o640)

    with pytest.raises(SettingsError) as raised:
        read(path, key, keeps_unparsed=False)

    assert str(raised.value).splitlines() == [
        "INGEST_REDACT: al: the sections are [all] and [event.TYPE]",
        "INGEST_REDACT: all: app_id: an event needs this field as it is",
        "INGEST_REDACT: all: ip: must be one of drop, hash, truncate",
        "INGEST_REDACT: all: zip: must be one of drop, hash, truncate",
        "INGEST_REDACT: all: metadata.schema_id: an event needs this field as it is",
        "INGEST_REDACT: event.CartViewed: must be a section",
        f"INGEST_REDACT_KEY_FILE: {key}: others may use it: chmod 600",
        f"INGEST_REDACT_KEY_FILE: {key}: must have 32 bytes or more",
    ]
    assert "short" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "start"),
    [
        ("[all", "INGEST_REDACT: "),
        (None, "INGEST_REDACT: "),
        ('[all]\nx = "hash"', "INGEST_REDACT_KEY_FILE: "),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(tmp_path: Path, text: str | None, start: str) -> None:
    """No TOML, no file, or a rule that hashes without a key."""
    path = tmp_path / "rules.toml"
    if text is not None:
        path.write_text(text)

    with pytest.raises(SettingsError, match=f"^{start}"):
        read(path, None, keeps_unparsed=False)
    with pytest.raises(SettingsError, match=r"^INGEST_REDACT"):
        read(path, tmp_path / "no key", keeps_unparsed=False)
