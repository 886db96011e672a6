"""The embedded ClickHouse's tables -> an outside ClickHouse server, verified for each table and day.

`__main__` checks both servers and reports, `mover` copies, `sides` has the two servers, `statements` the SQL.
"""
