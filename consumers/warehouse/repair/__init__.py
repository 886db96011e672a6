"""Reconcile, replay and retype: find what is missing and put it back.

Imports: `consumers.warehouse.load`, `consumers.kit`, `schemas`.
"""
