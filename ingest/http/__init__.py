"""HTTP in: the application, the webhook, request bodies, access, answers.

Imports: `ingest.delivery`, `ingest.registry_api`, `schemas`.
"""
