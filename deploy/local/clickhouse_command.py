"""Settings -> the command of the stack's ClickHouse: the embedded engine, or a server's binary on PATH.

Invariants: each has a data folder of its own, and a folder that has data decides: a binary that appears on
PATH, or leaves it, never makes the stack start with other data. An older binary than we support is not used.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as package_version
from pathlib import Path
from xml.sax.saxutils import escape

from deploy.local import engine_version
from deploy.local.errors import StackError
from deploy.local.settings import Settings

_ENGINE = "chdb-core"  # the package with the embedded engine; it has the engine's version
_VERSION_SECONDS_MAX = 30.0

_SERVER_CONFIG = """\
<clickhouse>
  <logger><level>warning</level><console>1</console></logger>
  <listen_host>{host}</listen_host>
  <http_port>{port}</http_port>
  <path>{path}/</path>
  <tmp_path>{path}/tmp/</tmp_path>
  <user_files_path>{path}/user_files/</user_files_path>
  <profiles><default/></profiles>
  <users><default>
    <password>{password}</password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
    <access_management>1</access_management>
  </default></users>
  <quotas><default/></quotas>
  <user_directories><users_xml><path>{config}</path></users_xml></user_directories>
  <storage_configuration><disks>
    <backups><type>local</type><path>{backups}/</path></backups>
  </disks></storage_configuration>
  <backups><allowed_disk>backups</allowed_disk></backups>
</clickhouse>
"""


def command(settings: Settings, say: Callable[[str], None]) -> list[str]:
    """Prepare the server's folder, if it is used, and return the command. Raises: StackError."""
    server, embedded = settings.data_dir / "clickhouse-server", settings.data_dir / "clickhouse"
    binary = _binary(server, embedded, say)
    if not binary:
        with suppress(PackageNotFoundError):  # it then finds out by itself, as it starts
            engine_version.check(embedded, engine_version.parse(package_version(_ENGINE)))
        return [sys.executable, "-m", "deploy.local.clickhouse"]
    engine_version.claim(server, _version(binary))
    return [binary, "server", f"--config-file={_config(settings, server)}"]


def installed() -> engine_version.Version | None:
    """Return the version that a new data folder gets; None: unknown. Raises: StackError."""
    binary = shutil.which("clickhouse")
    if binary and (version := _version(binary)) >= engine_version.MINIMUM:
        return version
    try:
        return engine_version.parse(package_version(_ENGINE))
    except PackageNotFoundError:
        return None


def _binary(server: Path, embedded: Path, say: Callable[[str], None]) -> str | None:
    """Return the binary to use, if any. Raises: StackError."""
    binary = shutil.which("clickhouse")
    if not binary:
        if not _has_data(server):
            return None
        raise StackError(
            f"{server} holds the data of a `clickhouse` that was on PATH. Install it again, "
            "or move the folder away."
        )
    version = _version(binary)
    old = f"{binary} is version {engine_version.words(version)}, and Tapline needs "
    old += f"{engine_version.words(engine_version.MINIMUM)} or later"
    if _has_data(server):
        if version < engine_version.MINIMUM:
            raise StackError(f"{old}. Update it: {server} holds its data.")
        return binary
    if version < engine_version.MINIMUM:
        say(f"clickhouse: {old}; the embedded engine is used")
        return None
    if _has_data(embedded):
        say(f"clickhouse: {binary} is not used, because {embedded} holds the data of the embedded engine")
        return None
    return binary


def _has_data(folder: Path) -> bool:
    return (folder / "metadata").is_dir()


def _version(binary: str) -> engine_version.Version:
    """Return a binary's version. Raises: StackError."""
    try:
        done = subprocess.run(
            [binary, "server", "--version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_SECONDS_MAX,
            check=True,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise StackError(
            f"{binary} does not tell its version ({error}). Repair it, or remove it from PATH."
        ) from None
    return engine_version.parse(done.stdout)


def _config(settings: Settings, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.xml"
    text = _SERVER_CONFIG.format(
        host=escape(settings.clickhouse_host),
        port=settings.clickhouse_port,
        path=escape(str(folder)),
        config=escape(str(config)),
        backups=escape(str(settings.data_dir / "backups")),
        password=escape(settings.clickhouse_password.get_secret_value()),
    )
    config.touch(mode=0o600)
    config.write_text(text)
    return config
