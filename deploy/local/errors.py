"""Errors that keep the one-machine stack from starting, shown at the terminal.

Invariant: the text is complete sentences with the remedy, printed without a traceback.
"""

from runtime.command import CommandError


class StackError(CommandError):
    """The stack cannot start, or one of its parts cannot be prepared."""


class WrongSettingsError(StackError):
    """The stack cannot start until settings change or a port becomes free."""

    exit_status = 2
