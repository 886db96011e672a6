"""The port of ingest's health, metrics and registry, and how commands find it."""

from pathlib import Path

import pytest

from deploy.local import admin_port, services
from deploy.local.settings import Settings


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder."""
    (tmp_path / "run").mkdir()
    return tmp_path


def test_a_port_that_is_set_is_taken(folder: Path) -> None:
    """Even if it is in use: then `make run` refuses to start."""
    settings = Settings.from_env({"DATA_DIR": str(folder), "INGEST_ADMIN_PORT": "9999"})

    assert admin_port.choose(settings, lambda _: False) == 9999
    assert admin_port.of(settings) == 9999


def test_a_second_stack_gets_the_next_free_port(folder: Path) -> None:
    """It requested none, so a taken port is no error; its commands find the chosen one."""
    settings = Settings.from_env({"DATA_DIR": str(folder)})
    assert admin_port.choose(settings, lambda port: port != admin_port.USUAL) == 8093

    assert services.addresses(settings).ingest_admin == "http://127.0.0.1:8093"
    assert admin_port.choose(settings, lambda _: True) == admin_port.USUAL
    assert services.addresses(settings).ingest_admin == "http://127.0.0.1:8083"
