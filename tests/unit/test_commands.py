"""Every command and process: an error is sentences and a documented exit status, never a traceback."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.stack import ROOT, free_ports


def _modules() -> dict[str, str]:
    """Module -> source of all that run by `python -m`."""
    paths = [
        path
        for part in ("runtime", "schemas", "ingest", "consumers", "deploy")
        for path in (ROOT / part).rglob("*.py")
    ]
    sources = {path: path.read_text() for path in paths}
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__"): source
        for path, source in sources.items()
        if 'if __name__ == "__main__"' in source
    }


MODULES = _modules()
# Arguments that a command needs. NO_KAFKA: commands without any setting of Kafka.
ARGUMENTS = {
    "consumers.archive": ("--to", "file:///nowhere/at/all"),
    "consumers.erase": ("--device-id", "one"),
    "consumers.export": ("--device-id", "one"),
    "consumers.replay": ("--where", "1"),
    "consumers.examples.abandoned_carts": ("http://127.0.0.1:9",),
    "consumers.examples.parquet": ("folder",),
    "consumers.examples.parquet_erase": ("folder",),
    "deploy.backup.restore": ("nowhere",),
    "deploy.doctor": ("http://127.0.0.1:9",),
    "deploy.edge": ("events.example.com",),
    "deploy.local.child": ("nowhere", "it", "SIGTERM", "PATH", "", "nothing"),
    "deploy.local.supervisord": ("-c", "nowhere.conf"),
    "deploy.reference": ("--check",),
    "deploy.security": ("kafka", "folder"),
    "ingest.spool": ("requeue", "nothing.aside"),
    "ingest.tokens": ("list",),
    "schemas": ("infer",),
}
NO_KAFKA = {
    "deploy.image.health",
    "deploy.local.supervisord",
    "deploy.local.child",
    "deploy.local.clickhouse",
    "deploy.reference",
    "ingest.tokens",
    "schemas",
}
# Of the modules that read Kafka's settings: one for each way to start, and for each class of settings.
USUAL = {
    "consumers.examples.alerts",
    "consumers.live",
    "consumers.replay",
    "consumers.tail",
    "consumers.warehouse",
    "deploy.local",
    "ingest",
}
QUICK = {"consumers.tail", "ingest.spool", "schemas"}  # of those that could all be tried with `--help`
SERVERS = {
    ("ingest", "INGEST_PORT"),
    ("ingest", "INGEST_ADMIN_PORT"),
    ("consumers.live", "LIVE_PORT"),
    ("deploy.local.clickhouse", "CLICKHOUSE_PORT"),
    ("deploy.local", "LIVE_PORT"),
}


def ended(
    module: str, env: Mapping[str, str], folder: Path, *arguments: str, stdout: int = subprocess.PIPE
) -> tuple[int, str]:
    """Return the exit status and what was said of it."""
    given = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("KAFKA_", "INGEST_"))},
        **free_ports(),
        "DATA_DIR": str(folder / "data"),
        "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9",
        "INGEST_TOKENS": "a-token-of-a-test",
        "PYTHONUNBUFFERED": "",
        **env,
    }
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=given,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr
    return done.returncode, done.stderr


def refused(module: str, env: Mapping[str, str], folder: Path, *arguments: str) -> str:
    """Return the one sentence of a command whose environment is invalid."""
    status, said = ended(module, env, folder, *arguments)
    assert status == 2
    assert len(said.splitlines()) <= 2
    return said


@pytest.mark.parametrize("module", MODULES)
def test_all_are_started_in_one_way(module: str) -> None:
    """By the function that turns errors into sentences and exit statuses."""
    source = MODULES[module]
    _, _, body = source.partition('if __name__ == "__main__":\n')

    called = re.fullmatch(r"    (command\.main|main|run)\(.*\)\n", body)
    assert called
    imported = {
        "command.main": r"from runtime import command\b",
        "main": r"from runtime\.process import .*\bmain$",
        "run": r"from consumers\.kit import .*\brun$",
    }
    assert re.search(imported[called[1]], source, re.MULTILINE)


@pytest.mark.parametrize(
    "module",
    [
        name if name in USUAL else pytest.param(name, marks=pytest.mark.slow)
        for name in sorted(MODULES.keys() - NO_KAFKA)
    ],
)
def test_a_property_that_kafkas_clients_do_not_know(module: str, tmp_path: Path) -> None:
    """With librdkafka's message."""
    said = refused(module, {"KAFKA_SECURITY_PROTOKOLL": "SSL"}, tmp_path, *ARGUMENTS.get(module, ()))

    assert 'KAFKA_*: No such configuration property: "security.protokoll"' in said


@pytest.mark.parametrize(
    ("module", "status", "said"),
    [
        ("deploy.image.health", 1, ""),
        ("deploy.local.child", 1, "child: nowhere/it.pid.new: No such file or directory\n"),
        ("deploy.local.clickhouse", 2, "ClickHouse cannot start: CLICKHOUSE_PORT: "),
        ("deploy.local.supervisord", 2, "nowhere.conf"),
        ("deploy.reference", 0, ""),
        ("ingest.tokens", 1, "tokens: INGEST_TOKENS is set; "),
        ("schemas", 1, "registry.json"),
    ],
)
def test_another_wrong_setting(module: str, status: int, said: str, tmp_path: Path) -> None:
    """Of the commands that know nothing of Kafka."""
    env = {"CLICKHOUSE_PORT": "x", "SCHEMAS_DIR": str(tmp_path)}
    found = ended(module, env, tmp_path, *ARGUMENTS.get(module, ()))

    assert MODULES.keys() >= NO_KAFKA
    assert found[0] == status
    assert said in found[1]


@pytest.mark.parametrize(
    ("module", "status", "words"),
    [
        (
            "consumers.replay",
            1,
            "could not replay: the audit trail (tapcart.audit) cannot be written: Kafka at ",
        ),
        ("deploy.doctor", 1, ""),
        ("deploy.report", 1, "report: ClickHouse does not answer"),
        ("deploy.status", 3, ""),
        ("ingest.spool", 1, "spool: nothing.aside: there is no such file"),
        ("schemas", 2, "schemas: ClickHouse: "),
    ],
)
def test_services_that_are_away(module: str, status: int, words: str, tmp_path: Path) -> None:
    """Commands that do not wait for them say so. Reconcile waits 20 s: see its own tests."""
    env = {"CLICKHOUSE_URL": "http://127.0.0.1:9", "INGEST_ADMIN_URL": "http://127.0.0.1:9"}
    found = ended(module, env, tmp_path, *ARGUMENTS.get(module, ()))

    assert found[0] == status
    assert found[1].startswith(words)
    assert len(found[1].splitlines()) == (1 if words else 0)


@pytest.mark.parametrize(
    "module",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name, source in sorted(MODULES.items())
        if "argparse" in source
    ],
)
def test_output_that_nobody_reads(module: str, tmp_path: Path) -> None:
    """Ends the command, with the exit status of SIGPIPE, in silence."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        assert ended(module, {}, tmp_path, "--help", stdout=writer) == (141, "")
    finally:
        os.close(writer)


@pytest.mark.parametrize(("module", "variable"), sorted(SERVERS))
def test_an_address_in_use(module: str, variable: str, tmp_path: Path) -> None:
    """Reported by its setting."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = str(other.getsockname()[1])
        said = refused(module, {variable: port}, tmp_path)

    assert variable in said
    assert port in said
    assert "in use" in said


@pytest.mark.parametrize(
    "module", ["ingest", "consumers.warehouse", "consumers.live", "consumers.examples.alerts"]
)
def test_properties_that_do_not_go_together(module: str, tmp_path: Path) -> None:
    """Including those that only a producer created later would refuse."""
    assert "must be set <= 5" in refused(module, {"KAFKA_MAX_IN_FLIGHT": "10"}, tmp_path)


@pytest.mark.parametrize(
    "module", ["consumers.examples.abandoned_carts", "consumers.examples.alerts", "consumers.tail"]
)
def test_a_folder_without_schemas(module: str, tmp_path: Path) -> None:
    """At SCHEMAS_DIR."""
    said = refused(module, {"SCHEMAS_DIR": str(tmp_path)}, tmp_path, *ARGUMENTS.get(module, ()))

    assert "registry.json" in said


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("raise KeyboardInterrupt", 130, "it: interrupted\n"),
        ("raise SettingsError('PORT: bad\\nHOST: bad')", 2, "it:\nPORT: bad\nHOST: bad\n"),
        ("raise CommandError('\\x1b[31mred')", 1, "it: \\u001b[31mred\n"),
        ("open('/nowhere/file')", 1, "it: /nowhere/file: No such file or directory\n"),
        ("raise TimeoutError", 1, "it: TimeoutError\n"),
        ("raise LookupError('no row')", 4, "it: no row\n"),
        ("raise ZeroDivisionError", 70, "it: unexpected ZeroDivisionError; "),
        ("os.write(os.open('/dev/full', os.O_WRONLY), b'x')", 1, "it: No space left on device\n"),
        ("return 3", 3, ""),
    ],
)
def test_a_command(code: str, status: int, said: str) -> None:
    """From each of its ends to its exit status."""
    text = (
        "import os\nfrom runtime import command\nfrom runtime.command import CommandError\n"
        "from runtime.environment import SettingsError\n"
        f"def it(_):\n    {code}\n    return 0\n"
        "command.main('it', it, {LookupError: 4})\n"
    )
    done = subprocess.run([sys.executable, "-c", text], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == status
    assert done.stderr.startswith(said)
    assert "Traceback" not in done.stderr
    assert bool(done.stderr) == bool(said)


def test_a_command_without_standard_output() -> None:
    """As by `>&-`."""
    command = f"exec {sys.executable} -m ingest.tokens list >&-"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=ROOT,
        env={**os.environ, "DATA_DIR": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (1, "tokens: /nowhere/token: No such file or directory\n")


def test_the_traceback_of_a_fault_of_ours() -> None:
    """Shown by `python -X dev`."""
    text = "from runtime import command\ncommand.main('it', lambda _: 1 // 0)"
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-c", text], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.stderr.endswith("ZeroDivisionError: integer division or modulo by zero\n")
