"""Requests to our processes.

Invariant: each has a connection of its own, because tests stop and kill the processes that keep connections.
"""

import httpx

# httpx's own functions load all certificates for each request: 28 ms of CPU instead of 2.
WEB = httpx.Client(timeout=20, limits=httpx.Limits(max_keepalive_connections=0))
