"""The stack's tokens: kept, passed on by file, readable only by their owner."""

import stat
from pathlib import Path

import pytest

from deploy.local import environment, secret, services
from deploy.local.errors import WrongSettingsError
from deploy.local.settings import Settings


def settings_of(folder: Path, **env: str) -> Settings:
    """Return settings on a data folder that has its parts."""
    (folder / "run").mkdir(exist_ok=True)
    return Settings.from_env({"DATA_DIR": str(folder), **env})


def test_a_token_is_made_once(tmp_path: Path) -> None:
    """The secret stays the same, and no one else can read it."""
    settings = settings_of(tmp_path)
    assert secret.secret(settings) == ""
    file = secret.keep(settings)
    first = secret.secret(settings)

    assert secret.keep(settings) == file == tmp_path / "token"
    assert secret.secret(settings) == first == file.read_text().strip()
    assert len(first) == 32
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_tokens_of_the_environment_reach_services_by_file_alone(tmp_path: Path) -> None:
    """A service's environment, which the user's other processes may read, holds none."""
    given = "a-secret-that-is-long:app1|app2,another-long-secret"
    settings = settings_of(tmp_path, INGEST_TOKENS=given)
    file = secret.keep(settings)
    env = environment.of_services(
        {"INGEST_TOKENS": given, "PATH": "/bin"}, str(tmp_path), file, services.addresses(settings)
    )

    assert "a-secret-that-is-long" not in str(env)
    assert env["INGEST_TOKENS_FILE"] == str(file)
    assert env["PATH"] == "/bin"
    assert file.read_text().strip() == given
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert secret.secret(settings) == "a-secret-that-is-long"


def test_a_file_that_is_set_is_left_alone(tmp_path: Path) -> None:
    """It belongs to the operator."""
    file = tmp_path / "mine"
    file.write_text("# mine\nthis-is-my-own-secret  # for the shop\n")
    settings = settings_of(tmp_path, INGEST_TOKENS_FILE=str(file))

    assert secret.keep(settings) == file
    assert secret.secret(settings) == "this-is-my-own-secret"
    assert file.read_text().startswith("# mine\n")
    assert not (tmp_path / "token").exists()


def test_tokens_of_no_use_are_named(tmp_path: Path) -> None:
    """By their source, without showing the secret."""
    for env in ({"INGEST_TOKENS": "short"}, {"INGEST_TOKENS_FILE": str(tmp_path / "file")}):
        (tmp_path / "file").write_text("short\n")
        with pytest.raises(WrongSettingsError, match="16 characters") as raised:
            secret.secret(settings_of(tmp_path, **env))

        assert next(iter(env)) in str(raised.value) or str(tmp_path) in str(raised.value)
        assert "short" not in str(raised.value)
