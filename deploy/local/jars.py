"""The list `kafka-jars.sha256` -> Kafka's jars on disk, with exactly the listed bytes.

Invariants: a jar enters the cache by an atomic rename after its SHA-256 was verified; concurrent processes
wait for each other; downloaded jars are kept, so a run after a failure continues. Source: Maven Central by
`jgo`; the list was resolved from org.apache.kafka:kafka_2.13:4.3.1, plus the SLF4J binding
org.apache.logging.log4j:log4j-slf4j-impl:2.25.4.
"""

import fcntl
import hashlib
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext

from deploy.local.errors import StackError

LIST = Path(__file__).with_name("kafka-jars.sha256")

# More are not faster from Maven Central, which asks for moderation.
_DOWNLOADS_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the list."""

    path: PurePosixPath  # in a Maven repository: group/artifact/version/file
    sha256: str  # 64 hexadecimal digits

    @property
    def name(self) -> str:
        """The file's name, unique in the list."""
        return self.path.name


def read_list(path: Path = LIST) -> list[Jar]:
    """Return the jars that `path` lists, in its order."""
    lines = [line.split() for line in path.read_text().splitlines() if line.strip()]
    return [Jar(PurePosixPath(name), digest) for digest, name in lines]


def fetch(folder: Path, jars: list[Jar], say: Callable[[str], None]) -> None:
    """Make `folder` hold exactly `jars`. Raises: StackError naming the failing jar."""
    folder.mkdir(parents=True, exist_ok=True)
    if _missing(folder, jars):  # a complete folder may be read-only, as in a container
        with _locked(folder.with_suffix(".lock")):
            _download(folder, _missing(folder, jars), len(jars), say)
    verify(folder, jars)


def _missing(folder: Path, jars: list[Jar]) -> list[Jar]:
    return [jar for jar in jars if not (folder / jar.name).exists()]


def verify(folder: Path, jars: list[Jar]) -> None:
    """Check `folder` against `jars`. Raises: StackError naming each missing, extra or differing jar."""
    found = {path.name: path for path in folder.iterdir()}
    faults = [f"{name}: not in the list" for name in sorted(found.keys() - {jar.name for jar in jars})]
    for jar in jars:
        if jar.name not in found:
            faults.append(f"{jar.name}: missing")
        elif _sha256(found[jar.name]) != jar.sha256:
            faults.append(f"{jar.name}: differs from its SHA-256 in {LIST.name}")
    if faults:
        raise StackError(
            f"Kafka's jars in {folder} are invalid; delete the files listed here and run again:\n  "
            + "\n  ".join(faults)
        )


def _download(folder: Path, missing: list[Jar], total: int, say: Callable[[str], None]) -> None:
    partial = folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    context = MavenContext(
        repo_cache=partial,
        local_repos=[],
        remote_repos={"central": MAVEN_CENTRAL_URL} | GlobalSettings.load().repositories,
    )
    have = total - len(missing)
    with ThreadPoolExecutor(_DOWNLOADS_AT_ONCE) as pool:
        jobs = {pool.submit(_download_one, context, jar, folder): jar for jar in missing}
        try:
            for count, job in enumerate(as_completed(jobs), start=have + 1):
                job.result()
                say(f"kafka: jar {count} of {total}: {jobs[job].name}")
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    shutil.rmtree(partial, ignore_errors=True)


def _download_one(context: MavenContext, jar: Jar, folder: Path) -> None:
    *group, artifact, version, name = jar.path.parts
    classifier = PurePosixPath(name).stem.removeprefix(f"{artifact}-{version}").removeprefix("-")
    packaging = PurePosixPath(name).suffix.removeprefix(".")
    try:
        component = context.project(".".join(group), artifact).at_version(version)
        path = component.artifact(classifier, packaging).resolve()
    except (RuntimeError, OSError) as error:
        raise StackError(
            f"could not download {jar.name} from {', '.join(context.remote_repos.values())}:\n  {error}\n"
            "Downloaded jars are kept: run again to continue."
        ) from error
    if _sha256(path) != jar.sha256:
        raise StackError(
            f"{jar.name} as downloaded differs from its SHA-256 in {LIST.name}; it was rejected."
        )
    path.replace(folder / jar.name)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
