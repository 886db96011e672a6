"""The topics: their names, headers and configuration, and how a cluster is compared with them.

May import `runtime` alone.
"""
