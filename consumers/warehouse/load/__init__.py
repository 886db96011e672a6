"""Kafka -> rows in ClickHouse: batch, container, insert, bisect, commit.

Imports: `consumers.kit`, `consumers.warehouse` (tables), `schemas`.
"""
