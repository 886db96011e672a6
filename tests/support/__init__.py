"""Shared test support: the stack, its parts, clients, browsers, waits.

May import everything of ours; contains no tests.
"""
