"""Erased people's ids: as hashes in a Kafka topic, which every reader of events follows.

Imports: `consumers.kit` (client, decode, offsets), `runtime.kafka`.
"""
