"""What keeps the one-machine stack from starting, told to the person at the terminal.

Invariant: the text is whole sentences with the remedy; it is printed without a traceback.
"""


class StackError(Exception):
    """The stack cannot start, or a part of it cannot be made ready."""

    exit_status = 1


class WrongSettingsError(StackError):
    """So it cannot start: only other settings, or a free port, help."""

    exit_status = 2
