"""Delivers records to Kafka, or to the spool on disk while Kafka is unavailable.

Imports: `schemas`, `runtime`; nothing of HTTP.
"""
