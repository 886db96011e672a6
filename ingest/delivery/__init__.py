"""Records out: Kafka, or the spool on disk while Kafka is away.

Imports: `schemas`; knows nothing of HTTP.
"""
