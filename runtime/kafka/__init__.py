"""Kafka topics: their names, headers and configuration, and how a cluster is checked against them.

May import only `runtime`.
"""
