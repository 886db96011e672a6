-- What users of ../security/clickhouse/users.sql need besides on a cluster. Run both files on every server.

-- ON CLUSTER; other servers' system tables, and input(), which are table functions; waiting for replicas.
GRANT CLUSTER ON *.* TO loader;
GRANT REMOTE ON *.* TO loader;
GRANT CREATE TEMPORARY TABLE ON *.* TO loader;
GRANT SYSTEM SYNC REPLICA ON tapcart_raw.* TO loader;
GRANT SELECT ON system.one TO loader;

-- DELETE ON CLUSTER.
GRANT CLUSTER ON *.* TO eraser;
