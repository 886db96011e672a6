"""Schema releases: find, check, number, add, compare and register them.

Imports: nothing of ours but `runtime.kafka.topics`, `schemas.catalog.columns` and `runtime.environment`.
"""
