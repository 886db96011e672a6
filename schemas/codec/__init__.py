"""One event: JSON -> struct -> Avro bytes in Confluent's framing, and back.

Imports: `schemas.catalog`.
"""
