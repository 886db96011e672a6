"""The runbook's commands work: each of them runs here, on a running stack."""

import re
import subprocess
import time

import pytest

from tests.integration.test_readme import located
from tests.support.live import event, post
from tests.support.stack import ROOT, Stack

RUNBOOK = (ROOT / "deploy/runbook.md").read_text()
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", RUNBOOK, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]


@pytest.fixture(scope="module")
def loaded(stack: Stack) -> Stack:
    """A running stack with an event."""
    post(stack, event("AppOpened", timestamp=time.time_ns() // 1_000_000))
    return stack


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_of_the_runbook_works(loaded: Stack, command: str) -> None:
    """It ends with status 0 and prints something, unless the quarantine is empty."""
    stack, text = loaded, located(command, loaded)
    text = text.replace("127.0.0.1:8081", stack.live_url.removeprefix("http://"))
    text = text.replace("127.0.0.1:8082", f"127.0.0.1:{stack.env['WAREHOUSE_METRICS_PORT']}")
    text = re.sub(r"(?<![\w/])data\b", str(stack.data_dir), text)
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", text],
        cwd=ROOT,
        env=stack.env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "DB::Exception" not in done.stdout
    assert done.stdout or "tapcart.quarantine" in command
