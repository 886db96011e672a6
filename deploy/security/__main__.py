"""`python -m deploy.security certificates|kafka|clickhouse FOLDER ...`: what secures the pipeline.

`certificates` writes a private authority and the servers' certificates. `kafka` makes Kafka's users and their
rights, with KAFKA_* of an administrator. `clickhouse` prints the SQL of ClickHouse's users. Passwords are in
the folder. Exit status: see `runtime.command`.
"""

import argparse
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field

from deploy.security import certificates, clickhouse_users, kafka_users
from runtime import command, environment

_DAYS = 397


class _AdministratorSettings(BaseModel):
    model_config = environment.CONFIG

    kafka: environment.KafkaProperties = Field(alias="KAFKA_BOOTSTRAP_SERVERS", repr=False)

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Return the settings in `env`. Raises: SettingsError."""
        return environment.read(cls, env)


def main(arguments: Sequence[str]) -> int:
    """Write certificates, or make users; return the exit status. Raises: CommandError."""
    options = _options(arguments)
    kafka = _AdministratorSettings.from_env(os.environ).kafka if options.command == "kafka" else {}
    options.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if options.command == "kafka":
        kafka_users.make(kafka, options.folder)
        print(f"users: {', '.join(kafka_users.RIGHTS)}; their passwords: {options.folder}/<user>.password")
        return 0
    if options.command == "clickhouse":
        print(clickhouse_users.statements(options.folder, options.app))
        return 0
    for name, hosts in options.servers:
        print(certificates.issue(options.folder, name, hosts, options.days))
    print(f"for clients: {options.folder / 'ca.pem'}; keep {options.folder / 'ca.key'} off the servers")
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tapline secure", description="Make certificates, and Kafka's users."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    issued = commands.add_parser("certificates", help="a private authority, and servers' certificates by it")
    issued.add_argument("folder", type=Path)
    issued.add_argument(
        "servers",
        nargs="+",
        type=_server,
        metavar="SERVER=HOST,...",
        help="such as kafka=kafka.internal,10.0.0.5",
    )
    issued.add_argument(
        "--days", type=int, default=_DAYS, help=f"validity of the servers' certificates ({_DAYS})"
    )
    users = commands.add_parser(
        "kafka", help="Kafka's users and their rights; needs KAFKA_* of an administrator"
    )
    users.add_argument("folder", type=Path, help="for the passwords")
    sql = commands.add_parser("clickhouse", help="print the SQL of ClickHouse's users")
    sql.add_argument("folder", type=Path, help="for the passwords")
    sql.add_argument("--app", action="append", default=[], help="an app of the analyst; default: all apps")
    return parser.parse_args(arguments)


def _server(text: str) -> tuple[str, list[str]]:
    name, _, hosts = text.partition("=")
    found = [host for host in hosts.split(",") if host]
    if not re.fullmatch(r"[a-z][a-z0-9-]*", name) or name == "ca" or not found:
        raise argparse.ArgumentTypeError(f"{text!r} is not like kafka=kafka.internal,10.0.0.5")
    return name, found


if __name__ == "__main__":
    command.main("secure", main)
