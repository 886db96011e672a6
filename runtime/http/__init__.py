"""Servers on uvicorn, with bounds on connections, heads and waits.

May import `runtime` alone.
"""
