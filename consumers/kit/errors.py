"""Errors of consumers: those that may pass, and those that end the process."""

from runtime.command import CommandError


class TransientError(Exception):
    """The same call may succeed later: pause, back off, retry, never drop."""


class TopicReplacedError(CommandError):
    """A topic is another one under its name; only a new process reads it from its beginning."""
