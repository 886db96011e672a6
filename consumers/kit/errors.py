"""Errors that may pass."""


class TransientError(Exception):
    """The same call may succeed later: pause, back off, retry, never drop."""
