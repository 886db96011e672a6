"""Releases of schemas: find, check, number, add, compare and register them.

Imports: nothing of ours but `schemas.topics`, `schemas.columns` and `schemas.environment`.
"""
