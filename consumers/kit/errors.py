"""What may go wrong and be right later."""


class TransientError(Exception):
    """The same call may succeed later: pause, back off, try again, never drop."""
