"""What keeps the one-machine stack from starting, told to the person at the terminal.

Invariant: the text is whole sentences with the remedy; it is printed without a traceback.
"""


class StackError(Exception):
    """The stack cannot start, or a part of it cannot be made ready."""
