"""`python -m deploy.status` and `python -m deploy.url` on a whole, partial and missing stack."""

import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.support.stack import ROOT, Stack, free_ports
from tests.support.waiting import eventually


def run(module: str, *arguments: str, env: dict[str, str]) -> tuple[int, str]:
    """Return exit status and output of a command, which never has a traceback."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def status(stack: Stack) -> tuple[int, str]:
    """Return the output for a stack."""
    return run("deploy.status", env=stack.env)


def row(said: str, name: str) -> str:
    """Return the line of a process or number."""
    (found,) = (line for line in said.splitlines() if line.startswith(f"{name} "))
    return found


def test_a_stack_that_is_well_is_one_screen(stack: Stack) -> None:
    """Plain text in a pipe; status 0."""
    assert eventually(lambda: status(stack)[0] == 0), status(stack)
    assert eventually(lambda: "inserts take" in row(status(stack)[1], "clickhouse"), 60), status(stack)
    _, said = status(stack)

    assert "All is well." in said
    assert "\x1b" not in said
    assert len(said.splitlines()) <= 25
    for name in ("ingest", "kafka", "warehouse", "clickhouse", "live"):
        assert " up " in row(said, name)
        assert f" {stack.pid(name)} " in row(said, name)
    for name in ("freshness", "events", "lag", "spool", "topics", "quarantine", "disk", "alerts"):
        assert row(said, name)


def test_every_process_of_ours_shows_its_metrics(stack: Stack) -> None:
    """ingest, loader and live page, each on a port."""
    ports = {"ingest": "INGEST_ADMIN_PORT", "warehouse": "WAREHOUSE_METRICS_PORT", "live": "LIVE_PORT"}
    for name, variable in ports.items():
        with urllib.request.urlopen(f"http://127.0.0.1:{stack.env[variable]}/metrics", timeout=10) as answer:
            assert f"tapline_{name}_".encode() in answer.read()


@pytest.mark.parametrize("name", ["ingest", "kafka", "warehouse", "clickhouse", "live"])
def test_a_process_that_hangs_is_named(stack: Stack, name: str) -> None:
    """With a remedy; the rest is shown as well as possible; status 1."""
    pid = stack.kill(name, signal.SIGSTOP)
    try:
        code, said = status(stack)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert eventually(lambda: status(stack)[0] == 0, 30), status(stack)

    assert code == 1
    assert " DOWN " in row(said, name)
    assert f"kill -CONT {pid}" in row(said, name)
    assert "runbook" in said


def test_a_process_that_was_started_again_is_counted(stack: Stack) -> None:
    """Next to the time since then."""
    pid = stack.kill("live")
    assert eventually(lambda: stack.pid("live") != pid)
    assert eventually(lambda: status(stack)[0] == 0, 30), status(stack)

    assert re.search(r" s, start [2-9]", row(status(stack)[1], "live"))


@pytest.mark.slow
def test_a_stack_without_its_own_processes_shows_what_runs(tmp_path: Path) -> None:
    """ClickHouse is up; the processes that would know more are missing."""
    alone = Stack(tmp_path / "data", "clickhouse").start()
    try:
        code, said = status(alone)
    finally:
        alone.stop()

    assert code == 1
    assert " DOWN " in row(said, "kafka")
    assert " up " in row(said, "clickhouse")
    assert " DOWN " in row(said, "ingest")
    assert " DOWN " in row(said, "live")


def test_nothing_runs(tmp_path: Path) -> None:
    """One line, status 3."""
    code, said = run("deploy.status", env=free_ports() | {"DATA_DIR": str(tmp_path)})

    assert code == 3
    assert "make run" in said
    assert len(said.splitlines()) == 1


def test_wrong_settings_are_told(tmp_path: Path) -> None:
    """By the variable; status 2."""
    for module in ("deploy.status", "deploy.url", "deploy.doctor", "deploy.prometheus"):
        code, said = run(module, env={"LIVE_PORT": "x", "DATA_DIR": str(tmp_path)})

        assert code == 2
        assert "LIVE_PORT" in said


def test_the_url_and_the_mail_hold_host_and_token(tmp_path: Path) -> None:
    """The host by argument or setting."""
    env = {"DATA_DIR": str(tmp_path), "INGEST_TOKENS": "first-of-two-secrets:app|other,second-of-two-secrets"}
    url = "https://events.example.com/tapcart_webhooks/first-of-two-secrets"

    for arguments, more in (
        (["https://events.example.com"], {}),
        (["events.example.com"], {}),
        ([], {"TAPLINE_PUBLIC_URL": "https://events.example.com"}),
    ):
        code, said = run("deploy.url", *arguments, env=env | more)
        assert code == 0
        assert said.splitlines()[0] == url
        assert f"        {url}\n" in said


def test_the_url_needs_https_and_a_token(tmp_path: Path) -> None:
    """Otherwise it reports the missing one; without a host it prints a placeholder."""
    env = {"DATA_DIR": str(tmp_path)}

    assert run("deploy.url", "https://host", env=env)[0] == 1
    (tmp_path / "token").write_text("kept-for-test-16\n")
    assert run("deploy.url", "http://host", env=env)[0] == 2
    assert run("deploy.url", env=env)[1].startswith("https://<your host>/tapcart_webhooks/kept-for-test-16\n")
