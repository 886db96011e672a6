"""Reconcile, replay and retype: find missing records and load them.

Imports: `consumers.warehouse.load`, `consumers.kit`, `schemas`.
"""
