"""Kafka's jars: exactly those of the list."""

import hashlib
from pathlib import Path, PurePosixPath

import pytest

from deploy.local import jars
from deploy.local.errors import StackError
from deploy.local.jars import Jar

ONE = Jar(PurePosixPath("a/b/1/b-1.jar"), hashlib.sha256(b"one").hexdigest())
TWO = Jar(PurePosixPath("a/c/2/c-2.jar"), hashlib.sha256(b"two").hexdigest())


def test_takes_a_folder_that_is_as_listed(tmp_path: Path) -> None:
    """Nothing is fetched or printed if every jar is present."""
    (tmp_path / "k").mkdir()
    (tmp_path / "k" / ONE.name).write_bytes(b"one")
    said: list[str] = []

    jars.fetch(tmp_path / "k", [ONE], said.append)

    assert said == []
    assert [path.name for path in tmp_path.iterdir()] == ["k"]  # no lock: all of it may be read-only


def test_names_each_jar_that_is_missing_extra_or_differs(tmp_path: Path) -> None:
    """A folder with other contents than the list is refused."""
    (tmp_path / TWO.name).write_bytes(b"other")
    (tmp_path / "evil.jar").write_bytes(b"x")

    with pytest.raises(StackError) as refused:
        jars.verify(tmp_path, [ONE, TWO])

    text = str(refused.value)
    assert "b-1.jar: missing" in text
    assert "c-2.jar: differs" in text
    assert "evil.jar: not in the list" in text


def test_says_in_words_that_a_download_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback, but the jar's name, and that the next run continues."""
    monkeypatch.setattr(jars, "MAVEN_CENTRAL_URL", "http://127.0.0.1:9")

    with pytest.raises(StackError, match=r"could not download b-1\.jar from http://127\.0\.0\.1:9") as failed:
        jars.fetch(tmp_path / "k", [ONE], print)

    assert "run again to continue" in str(failed.value)
    assert list((tmp_path / "k").iterdir()) == []


def test_lists_the_broker_and_its_logging() -> None:
    """The repository's list is complete: Kafka, its clients, and its logging binding."""
    names = {jar.name for jar in jars.read_list()}

    assert {"kafka_2.13-4.3.1.jar", "kafka-clients-4.3.1.jar", "log4j-slf4j-impl-2.25.4.jar"} <= names
    assert all(len(jar.sha256) == 64 for jar in jars.read_list())
