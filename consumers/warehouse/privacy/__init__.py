"""People -> the rows about them, in every table of ClickHouse; and their erasure.

Imports: `consumers.kit.erasures`, `consumers.warehouse` (clickhouse, tables, analytics), `runtime.kafka`.
"""
