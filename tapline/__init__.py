"""The command `tapline`, which runs every other module by its name."""

from runtime import version

__version__ = version.VERSION
