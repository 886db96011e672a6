"""The supervisor's configuration."""

from configparser import RawConfigParser
from pathlib import Path

from deploy.local.services import NAMES, Service
from deploy.local.supervise import _config

_UNITS = {"MB": 1_000_000}


def _bytes(text: str) -> int:
    return int(text[:-2]) * _UNITS[text[-2:]]


def test_the_logs_of_a_stack_are_bounded(tmp_path: Path) -> None:
    """Each process has a bound, whatever it writes; all together take less than the free space required."""
    services = [Service(name, ["true"], lambda: True) for name in NAMES]
    config = RawConfigParser()
    config.read_string(_config(services, tmp_path, {}))
    own, *programs = (dict(config[section]) for section in config.sections())
    kept = [
        _bytes(one["stdout_logfile_maxbytes"]) * (1 + int(one["stdout_logfile_backups"])) for one in programs
    ]
    kept.append(_bytes(own["logfile_maxbytes"]) * (1 + int(own["logfile_backups"])))

    assert len(programs) == len(NAMES)
    assert all(one["redirect_stderr"] == "true" for one in programs)
    assert sum(kept) < 512 * 1024 * 1024
