"""Every secret setting may be in a file: `<its name>_FILE`."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field, SecretStr

from consumers.live.settings import Settings
from deploy import reference
from runtime import environment
from runtime.environment import SettingsError
from runtime.kafka.property_checks import variable

KAFKA = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092"}
ENOUGH = KAFKA | {"INGEST_TOKENS": "a-token-of-the-tests", "CLICKHOUSE_URL": "http://127.0.0.1:8123"}
# Names that may stand for a secret, and the settings of such a name that hold none.
SUSPICIOUS = re.compile(r"PASSWORD|SECRET|TOKEN|KEY|CREDENTIAL|LOGIN|URL|SERVERS")
HARMLESS = {
    "INGEST_URL",
    "INGEST_ADMIN_URL",
    "LIVE_INGEST_URL",
    "TAPLINE_PUBLIC_URL",
    "INGEST_KEEP_ALIVE_SECONDS",
    "INGEST_KEY",
}


def secrets(settings: type[BaseModel]) -> Iterator[str]:
    """Yield the secret settings of a class, except those whose file is a setting of its own."""
    aliases = {str(field.alias) for field in settings.model_fields.values()}
    for field in settings.model_fields.values():
        if environment.is_secret(field) and f"{field.alias}_FILE" not in aliases:
            yield str(field.alias)


def every_secret() -> list[tuple[type[BaseModel], str]]:
    """Return every secret setting that the processes have, and the properties of libraries."""
    found = [(settings, name) for _, settings in reference.SETTINGS for name in secrets(settings)]
    sasl, registry = variable("sasl.password"), "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO"
    found += [(settings, sasl) for settings, name in found if name in KAFKA]
    return found + [(settings, registry) for settings, name in found if name == "SCHEMA_REGISTRY_URL"]


def written(folder: Path, text: str, mode: int = 0o600) -> str:
    """Return the path of a file with this text."""
    path = folder / "secret"
    path.write_text(text)
    path.chmod(mode)
    return str(path)


def problems(env: dict[str, str], settings: Any = Settings) -> list[str]:
    """Return what is wrong with an environment."""
    with pytest.raises(SettingsError) as raised:
        environment.read(settings, KAFKA | env)
    return str(raised.value).splitlines()


@pytest.mark.parametrize(("settings", "name"), every_secret())
def test_every_secret_is_read_from_a_file(settings: type[BaseModel], name: str, tmp_path: Path) -> None:
    """The result is the same as with the text in the environment, whose form no longer appears."""
    text = {
        "CLICKHOUSE_URL": "https://loader:pass-word@click.house:8443",
        variable("sasl.password"): "pass-word",
    }
    value = text.get(name, "127.0.0.1:9093" if name in KAFKA else "user:pass-word-of-16-characters")
    if name == "SCHEMA_REGISTRY_URL":
        value = "http://user:pass-word@registry:8081"
    env = ENOUGH | {"SCHEMA_REGISTRY_URL": "http://registry:8081"} | {name: value}
    by_file = {one: given for one, given in env.items() if one != name}
    defaults = {"INGEST_SPOOL_DIR": tmp_path}
    from_text = environment.read(settings, env, defaults=defaults)
    from_file = environment.read(
        settings, by_file | {f"{name}_FILE": written(tmp_path, f"{value}\n")}, defaults=defaults
    )

    assert from_file == from_text
    assert "pass-word" not in repr(from_file)


def test_no_secret_setting_is_without_a_file_form() -> None:
    """A new one fails here until its type is secret, or it is a file itself."""
    for _, settings in reference.SETTINGS:
        aliases = {str(field.alias) for field in settings.model_fields.values()}
        for field in settings.model_fields.values():
            name = str(field.alias)
            if SUSPICIOUS.search(name) and name not in HARMLESS and not name.endswith("_FILE"):
                assert environment.has_file_form(settings, name) or f"{name}_FILE" in aliases, name


def test_a_setting_of_secret_type_has_a_file_form(tmp_path: Path) -> None:
    """By its type alone."""

    class New(BaseModel):
        model_config = environment.CONFIG

        code: SecretStr | None = Field(None, alias="SOME_CODE")
        shown: str = Field("", alias="SOME_TEXT")

    path = written(tmp_path, " \tpass word\r\n")
    found = environment.read(New, {"SOME_CODE_FILE": path, "SOME_TEXT_FILE": path})

    assert found.code
    assert found.code.get_secret_value() == "pass word"
    assert found.shown == ""


def test_what_is_wrong_with_a_file_is_said_by_variable_and_path(tmp_path: Path) -> None:
    """All problems at once, and none with a content."""
    missing = str(tmp_path / "missing")
    for path, reason in (
        (missing, "No such file or directory"),
        (str(tmp_path), "Is a directory"),
        (written(tmp_path, " \n"), "is empty"),
    ):
        found = problems({"LIVE_TOKEN_FILE": path, "LIVE_PORT": "0", "KAFKA_SASL_PASSWORD_FILE": missing})

        assert f"LIVE_TOKEN_FILE: {path}: {reason}" in found
        assert f"KAFKA_SASL_PASSWORD_FILE: {missing}: No such file or directory" in found
        assert any(line.startswith("LIVE_PORT: ") for line in found)
        assert len(found) == 3
    Path(written(tmp_path, "")).write_bytes(b"\xff\xfesecret")
    assert problems({"LIVE_TOKEN_FILE": str(tmp_path / "secret")}) == [
        f"LIVE_TOKEN_FILE: {tmp_path / 'secret'}: is not text"
    ]
    assert problems({"LIVE_TOKEN_FILE": written(tmp_path, "short")}) != []


def test_both_forms_are_an_error(tmp_path: Path) -> None:
    """Because nobody could tell which one is in force."""
    env = {"LIVE_TOKEN": "first-token-of-two", "LIVE_TOKEN_FILE": written(tmp_path, "second-token-of-two")}

    assert problems(env) == ["LIVE_TOKEN: set either this or LIVE_TOKEN_FILE, not both"]


def test_a_file_that_others_may_read_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """By its setting; a file for its owner or group is not."""
    for mode, expected in ((0o600, 0), (0o640, 0), (0o644, 1), (0o644, 1)):
        path = written(tmp_path, "a-token-of-the-tests", mode)
        environment.read(Settings, KAFKA | {"LIVE_TOKEN_FILE": path})

        found = [one for one in caplog.records if one.message == "secret_file_open_to_others"]
        assert len(found) == expected
    assert vars(found[0])["setting"] == "LIVE_TOKEN_FILE"


def test_properties_of_librdkafka_that_are_files_stay_properties() -> None:
    """Their own names end in `.file`."""
    name = variable("sasl.oauthbearer.assertion.private.key.file")

    assert (
        "sasl.oauthbearer.assertion.private.key.file"
        in environment.read(Settings, KAFKA | {name: "/key.pem"}).kafka
    )


def test_the_page_of_settings_names_the_file_forms() -> None:
    """Of every secret."""
    page = " ".join(reference.settings_page().split())

    assert all(f"`{name}`" in page for name in ("LIVE_TOKEN_FILE", "CLICKHOUSE_URL_FILE", "KAFKA_*_FILE"))
