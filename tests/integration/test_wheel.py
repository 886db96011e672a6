"""The wheel, installed into an empty environment without network: the command works as in the checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

from runtime.version import VERSION
from tests.support.process import SAMPLES, Child, Ingest, free_port
from tests.support.stack import ROOT
from tests.support.waiting import eventually
from tests.support.web import WEB

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of an environment's programs; the wheel's dependencies are those of the tests."""
    folder = tmp_path_factory.mktemp("wheel")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True).stdout
    for name in filter(None, listed.decode().split("\0")):  # a build writes into its source
        (folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / "source" / name)
    uv = str(Path(sys.executable).with_name("uv"))
    build = [uv, "build", "--wheel", "--offline", "--no-build-isolation", "--python", sys.executable]
    _run([*build, "--out-dir", str(folder)], folder / "source")
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", symlinks=True)
    program = folder / "venv" / "bin" / "python"
    install = [uv, "pip", "install", "--offline", "--no-deps", "--quiet", "--python", str(program)]
    _run([*install, str(wheel)], folder)
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    return program.parent


def test_the_command_of_the_wheel_works(installed: Path, tmp_path: Path) -> None:
    """With its own files, from a folder without a checkout."""
    said = {
        name: _tapline(installed, tmp_path, *name.split()) for name in ("--help", "--version", "schemas list")
    }

    assert "doctor" in said["--help"]
    assert said["--version"] == f"tapline {VERSION}\n"
    assert "Event_AppOpened_5_0_0" in said["schemas list"]


def test_an_installed_process_keeps_events(installed: Path, tmp_path: Path) -> None:
    """ingest, without Kafka: the event is in the spool, and metrics have the version."""
    ingest = Ingest(f"127.0.0.1:{free_port()}", tmp_path)
    env = os.environ | ingest.settings | {"DATA_DIR": str(tmp_path)}
    with Child([str(installed / "tapline"), "ingest"], cwd=tmp_path, env=env) as process:
        eventually(lambda: WEB.get(f"{ingest.admin_url}/readyz").status_code == 200)
        answer = WEB.post(ingest.url, content=(SAMPLES / "AppOpened.json").read_bytes())
        metrics = WEB.get(f"{ingest.admin_url}/metrics").text
        process.terminate()

    assert (answer.status_code, answer.json()) == (200, {"kept": "spool"})
    assert f'tapline_build_info{{version="{VERSION}"}} 1.0' in metrics
    assert process.returncode == 0


def _tapline(installed: Path, cwd: Path, *arguments: str) -> str:
    return _run([str(installed / "tapline"), *arguments], cwd)


def _run(command: list[str], cwd: Path) -> str:
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
