"""Errors that keep the one-machine stack from starting, shown at the terminal.

Invariant: the text is complete sentences with the remedy, printed without a traceback.
"""


class StackError(Exception):
    """The stack cannot start, or one of its parts cannot be prepared."""

    exit_status = 1


class WrongSettingsError(StackError):
    """The stack cannot start until settings change or a port becomes free."""

    exit_status = 2
