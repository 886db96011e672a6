"""What tests start and wait for: the stack, its parts, clients, browsers, waits.

May import everything of ours; no test is here.
"""
