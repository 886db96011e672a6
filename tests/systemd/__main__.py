"""`make test-systemd`: the services of deploy/systemd, installed and booted, restart under a sender's load.

Exit status: 0; 1 if a post was refused, or a service was not what its unit says. The sender never retries.
"""

import asyncio
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.bench.restarts import Outcome, Sender
from tests.support.process import free_port
from tests.support.stack import ROOT
from tests.systemd import container

_RESTARTS = 5
_RATE = 300.0  # posts per second
_STEP_SECONDS_MAX = 180.0
_SCRIPT = f"""#!/bin/sh
# Runs in the container once it is up; /shared belongs to the test.
cd /shared
cp /var/lib/tapline/token token
mv token started
for number in $(seq {_RESTARTS}); do
  sleep 3
  systemctl restart tapline-ingest.service || break
done
systemctl show tapline-ingest.service -p User,NRestarts,NFileDescriptorStore,ActiveState > shown
process=$(systemctl show -P MainPID tapline-ingest.service)
grep -E '^(CapEff|Seccomp|NoNewPrivs)' /proc/$process/status >> shown
journalctl -u tapline-ingest.service > log
"""
_UNIT = """[Unit]
After=tapline-ingest.service
[Service]
Type=oneshot
ExecStart=/bin/sh /shared/script
ExecStopPost=/bin/sh -c 'touch finished; while [ ! -e over ]; do sleep 0.2; done; systemctl poweroff'
WorkingDirectory=/shared
TimeoutStopSec=60
[Install]
WantedBy=multi-user.target
"""


def main() -> int:
    """Install, boot, restart; return the exit status."""
    with tempfile.TemporaryDirectory(prefix="tapline-systemd-") as name:
        folder = Path(name)
        root, shared, port = folder / "root", folder / "shared", free_port()
        _install(root, port)
        shared.mkdir()
        (shared / "script").write_text(_SCRIPT)
        with container.booted(root, [f"--bind={shared}:/shared"]) as booted:
            outcome = asyncio.run(_posted(shared, port, booted))
            (shared / "over").touch()
        shown = (shared / "shown").read_text() if (shared / "shown").exists() else ""
        problems = _problems(outcome, shown)
        if problems:
            log = shared / "log" if (shared / "log").exists() else folder / "boot.log"
            sys.stderr.write(log.read_text(errors="replace")[-6000:])
    sys.stdout.write(f"{shown}{outcome.text()}\n" + "".join(f"problem: {one}\n" for one in problems))
    return 1 if problems else 0


def _install(root: Path, port: int) -> None:
    """Install from this checkout, as a user does, with another port and no Kafka."""
    root.mkdir()
    archive = container.base(ROOT / ".cache" / "debian-systemd.tar")
    subprocess.run(["tar", "-xf", str(archive), "-C", str(root)], check=True)
    for part in ("dist", "deploy/systemd"):
        shutil.copytree(ROOT / part, root / "root" / "tapline" / part)
    shutil.copy(ROOT / "requirements.txt", root / "root" / "tapline")
    container.run(root, ["/root/tapline/deploy/systemd/install"])
    drop_in = root / "etc/systemd/system/tapline-ingest.socket.d/port.conf"
    drop_in.parent.mkdir()
    drop_in.write_text(f"[Socket]\nListenStream=\nListenStream=127.0.0.1:{port}\n")
    with (root / "etc/tapline/tapline.env").open("a") as settings:
        settings.write(f"KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:{free_port()}\nINGEST_ADMIN_PORT={free_port()}\n")
    (root / "etc/systemd/system/test.service").write_text(_UNIT)
    container.run(root, ["systemctl", "enable", "tapline-ingest.socket", "tapline-ingest", "test"])


async def _posted(shared: Path, port: int, booted: subprocess.Popen[bytes]) -> Outcome:
    """Return the outcome of posts from the start of ingest until the last restart."""
    await _seen(shared / "started", booted)
    token = (shared / "started").read_text().split()[0]
    sender, stopping = Sender(f"http://127.0.0.1:{port}/tapcart_webhooks/{token}", _RATE), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(sender.run(stopping))
        await _seen(shared / "finished", booted)
        stopping.set()
    return sender.outcome


async def _seen(path: Path, booted: subprocess.Popen[bytes]) -> None:
    async with asyncio.timeout(_STEP_SECONDS_MAX):
        while not path.exists() and booted.poll() is None:  # noqa: ASYNC110 - another process ends the wait
            await asyncio.sleep(0.1)


def _problems(outcome: Outcome, shown: str) -> list[str]:
    expected = (
        "User=tapline",
        "ActiveState=active",
        "CapEff:\t0000000000000000",
        "Seccomp:\t2",
        "NoNewPrivs:\t1",
    )
    missing = [f"{line!r} is not shown" for line in expected if line not in shown]
    if outcome.refused or not outcome.acknowledged:
        missing.append(f"{outcome.refused} of {outcome.statuses.total()} posts were refused")
    return missing


if __name__ == "__main__":
    sys.exit(main())
