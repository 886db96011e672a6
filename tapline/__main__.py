"""`tapline COMMAND OPTIONS...` -> the module of that command, as this process.

Each command has its own `--help`. Completion in bash: `eval "$(_TAPLINE_COMPLETE=bash_source tapline)"`;
zsh_source and fish_source are for the others. Options are completed from the command's `--help`.

Invariant: the module runs exactly as by `python -m`, with the same environment but for the addresses of a
running stack. The folder where it is started does not matter.
"""

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from tapline import __version__
from tapline.addresses import of_stack
from tapline.commands import COMMANDS, Command

_ROOT = Path(__file__).resolve().parents[1]  # a checkout, or site-packages
_HELP_SECONDS_MAX = 10.0
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")


class _Module(click.Command):
    """A command whose options, `--help` too, belong to its module, if that reads any."""

    def __init__(self, command: Command) -> None:
        options = click.Argument(["options"], nargs=-1, type=click.UNPROCESSED)
        super().__init__(
            command.name,
            params=[options] if command.has_options else [],
            callback=self._run,
            short_help=command.text,
            help=f"{command.text[0].upper()}{command.text[1:]}. It has no options, only settings.",
            add_help_option=not command.has_options,
            context_settings={"ignore_unknown_options": command.has_options},
        )
        self._command = command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the options that the module's `--help` mentions."""
        if not (incomplete.startswith("-") and self._command.has_options):
            return super().shell_complete(ctx, incomplete)
        line, env = _line(self._command, ["--help"])
        shown = subprocess.run(
            line, env=env, capture_output=True, text=True, timeout=_HELP_SECONDS_MAX, check=False
        )
        found = sorted(set(_OPTION.findall(shown.stdout)))
        return [CompletionItem(option) for option in found if option.startswith(incomplete)]

    def _run(self, options: tuple[str, ...] = ()) -> None:
        line, env = _line(self._command, options)
        os.execve(line[0], line, env)  # noqa: S606 - replaces this process on purpose


class _Modules(click.Group):
    """Lists its commands in their order."""

    def list_commands(self, _: click.Context) -> list[str]:
        return [command.name for command in COMMANDS]


@click.group(
    cls=_Modules,
    commands={command.name: _Module(command) for command in COMMANDS},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Each command has its own --help.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def tapline() -> None:
    """Tapcart's events, kept and queryable: HTTP to Kafka to ClickHouse."""


def main() -> None:
    """Run a command."""
    tapline(prog_name="tapline")


def _line(command: Command, options: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Return the command line and the environment of a command."""
    env = dict(os.environ)
    if command.is_client:
        env |= of_stack(env)
    # -P: a folder `schemas` at the current place is none of our modules.
    path = [str(_ROOT), *filter(None, [env.get("PYTHONPATH")])]
    return [sys.executable, "-P", "-m", command.module, *options], env | {"PYTHONPATH": os.pathsep.join(path)}


if __name__ == "__main__":
    main()
