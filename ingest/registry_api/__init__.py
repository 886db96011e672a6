"""The read side of Confluent's Schema Registry API over the catalog in use.

Imports: `schemas`, and `ingest.http.body` for bounded reading.
"""
