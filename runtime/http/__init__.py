"""HTTP servers on uvicorn, with bounds on connections, headers and waiting.

May import only `runtime`.
"""
