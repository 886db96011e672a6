"""The command `tapline`: it runs each module by its name, with the addresses of the stack."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.version import VERSION
from tapline.addresses import of_stack
from tapline.commands import COMMANDS, Command
from tests.support.stack import ROOT


def tapline(*arguments: str, cwd: Path = ROOT, **env: str) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [sys.executable, "-m", "tapline", *arguments]
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "INGEST_"))}
    env = clean | {"PYTHONPATH": str(ROOT)} | env
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)


def test_help_lists_every_command() -> None:
    """In their order, with one line each."""
    said = tapline("--help")

    assert said.returncode == 0
    assert re.findall(r"^  ([a-z-]+)  +\S", said.stdout.partition("Commands:")[2], re.MULTILINE) == [
        command.name for command in COMMANDS
    ]


def test_version() -> None:
    """The one of the processes."""
    assert tapline("--version").stdout == f"tapline {VERSION}\n"


def test_a_command_runs_from_any_folder(tmp_path: Path) -> None:
    """Folders there that are named like our modules are not taken for them."""
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "__init__.py").write_text("raise SystemExit('not ours')")

    assert "Event_AppOpened_5_0_0" in tapline("schemas", "list", cwd=tmp_path).stdout


def test_options_and_status_are_those_of_the_module() -> None:
    """Also an option with spaces in it, and `--help`."""
    wrong = tapline("schemas", "diff", "no such", "file")

    assert wrong.returncode not in {0, 70}
    assert "no such: " in wrong.stderr
    assert "--since" in tapline("tail", "--help").stdout


@pytest.mark.parametrize(
    ("words", "found"),
    [("tapline rep", {"replay", "report"}), ("tapline tail --s", {"--since"}), ("tapline tail --x", set())],
)
def test_a_shell_completes_commands_and_options(words: str, found: set[str]) -> None:
    """By the protocol of click's script for bash."""
    number = str(len(words.split()) - 1)
    said = tapline(_TAPLINE_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=number)

    assert {line.partition(",")[2] for line in said.stdout.split()} == found


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_every_command_explains_itself(command: Command) -> None:
    """Under the name that it is called by, and without doing its work."""
    said = tapline(command.name, "--help")

    assert said.returncode == 0
    assert said.stdout.lower().startswith(f"usage: tapline {command.name} ")


def test_a_process_gets_no_address_that_is_not_set() -> None:
    """A production process must not fall back to a broker of `make run`."""
    said = tapline("ingest", INGEST_TOKENS="a-token-of-a-test")

    assert said.returncode == 2
    assert "KAFKA_BOOTSTRAP_SERVERS: must be" in said.stderr


def test_addresses_follow_the_variables_of_the_stack(tmp_path: Path) -> None:
    """A set one wins; the admin port may have been chosen at the start."""
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "ingest-admin-port").write_text("8093\n")
    env = {"DATA_DIR": str(tmp_path), "KAFKA_BOOTSTRAP_SERVERS": "broker:1", "CLICKHOUSE_PASSWORD": "a/b"}

    assert of_stack(env) == {
        "INGEST_URL": "http://127.0.0.1:8080",
        "INGEST_ADMIN_URL": "http://127.0.0.1:8093",
        "CLICKHOUSE_URL": "http://default:a%2Fb@127.0.0.1:8123",
    }
    assert of_stack({"INGEST_ADMIN_PORT": "1"})["INGEST_ADMIN_URL"] == "http://127.0.0.1:1"


def test_an_address_in_a_file_wins() -> None:
    """The command reads the file, and refuses an address beside it."""
    files = {"CLICKHOUSE_URL_FILE": "outside.url", "KAFKA_BOOTSTRAP_SERVERS_FILE": "servers"}

    assert of_stack(files).keys() == {"INGEST_URL", "INGEST_ADMIN_URL"}
