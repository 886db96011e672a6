"""Which ClickHouse opens which folder."""

from pathlib import Path

import pytest

from deploy.local import clickhouse_command, engine_version
from deploy.local.engine_version import OlderEngineError
from deploy.local.errors import StackError
from deploy.local.settings import Settings


class Machine:
    """A data folder, and a PATH with a `clickhouse` or without."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bin, self.data, self.said = folder / "bin", folder / "data", list[str]()
        self.bin.mkdir()
        self.data.mkdir()
        monkeypatch.setenv("PATH", f"{self.bin}:/usr/bin:/bin")

    def install(self, version: str) -> None:
        """Put a binary of this version on PATH."""
        binary = self.bin / "clickhouse"
        binary.write_text(f"#!/bin/sh\necho ClickHouse server version {version} '(official build).'\n")
        binary.chmod(0o700)

    def fill(self, name: str) -> None:
        """Make a folder look like one in which an engine has run."""
        (self.data / name / "metadata").mkdir(parents=True)

    def command(self) -> str:
        """Return the program that would be started."""
        settings = Settings.from_env({"DATA_DIR": str(self.data)})
        command = clickhouse_command.command(settings, self.said.append)
        return "server" if command[0] == str(self.bin / "clickhouse") else command[-1]


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A new machine."""
    return Machine(tmp_path, monkeypatch)


def test_an_older_engine_refuses_a_newer_ones_folder(tmp_path: Path) -> None:
    """In one sentence; the same version and later ones open it, and the record follows."""
    engine_version.claim(tmp_path, (26, 9))
    with pytest.raises(OlderEngineError, match=r"^ClickHouse 26\.9 was the last .* 25\.5 may not .*DATA_DIR"):
        engine_version.claim(tmp_path, (25, 5))
    engine_version.claim(tmp_path, (26, 9))
    engine_version.claim(tmp_path, (26, 10))

    assert engine_version.of_folder(tmp_path) == (26, 10)
    assert engine_version.parse("ClickHouse server version 26.9.1.1 (official build).") == (26, 9)
    assert OlderEngineError.exit_status == 2


def test_a_binary_on_path_is_used_if_it_is_new_enough(machine: Machine) -> None:
    """Without one, and instead of an old one, the embedded engine starts."""
    none = machine.command()
    machine.install("25.12.3.4")
    old = machine.command()
    said = [*machine.said]
    machine.install("26.9.1.1")
    new = machine.command()

    assert (none, old, new) == ("deploy.local.clickhouse", "deploy.local.clickhouse", "server")
    assert len(said) == 1
    assert said[0].endswith("is version 25.12, and Tapline needs 26.0 or later; the embedded engine is used")
    assert engine_version.of_folder(machine.data / "clickhouse-server") == (26, 9)


def test_data_stays_with_the_engine_that_wrote_it(machine: Machine) -> None:
    """A binary that appears does not make the stack start empty, nor one that leaves or gets older."""
    machine.fill("clickhouse")
    machine.install("26.9.1.1")
    appeared = machine.command()
    (machine.data / "clickhouse").rename(machine.data / "away")
    machine.fill("clickhouse-server")
    used = machine.command()
    machine.install("26.8.1.1")
    with pytest.raises(OlderEngineError):
        machine.command()
    machine.install("25.5.1.1")
    with pytest.raises(StackError, match=r"is version 25\.5.*Update it"):
        machine.command()
    (machine.bin / "clickhouse").unlink()
    with pytest.raises(StackError, match="Install it again"):
        machine.command()

    assert (appeared, used) == ("deploy.local.clickhouse", "server")
    assert "holds the data of the embedded engine" in machine.said[0]
