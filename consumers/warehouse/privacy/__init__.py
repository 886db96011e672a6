"""One person -> the rows about them, in every table of ClickHouse.

Imports: `consumers.warehouse.clickhouse`, `schemas.codec.redaction`. No writes.
"""
