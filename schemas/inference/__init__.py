"""Events that arrived -> a proposed schema.

Imports: `schemas.catalog`, `schemas.codec`.
"""
