-- Users of ClickHouse, each with the rights that its process needs. `tapline secure clickhouse` fills in {...}: the
-- SHA-256 of each password, and the app of the analyst. It can be run again, as a user with access management.

CREATE DATABASE IF NOT EXISTS tapcart_raw;
CREATE DATABASE IF NOT EXISTS tapcart;

-- Limits of readers. readonly = 2: a view may bring its own settings, as ours do.
CREATE SETTINGS PROFILE OR REPLACE tapline_reader
SETTINGS readonly = 2, max_memory_usage = 4000000000 MAX 8000000000, max_execution_time = 60 MAX 300;

-- The loader, and its commands reconcile, replay and export: it creates and extends tables and views.
CREATE USER IF NOT EXISTS loader;
ALTER USER loader IDENTIFIED WITH sha256_hash BY '{loader}';
GRANT CREATE DATABASE, CREATE TABLE, CREATE VIEW, DROP TABLE, DROP VIEW, ALTER, INSERT, SELECT ON tapcart_raw.* TO loader;
GRANT CREATE DATABASE, CREATE VIEW, DROP VIEW, SELECT ON tapcart.* TO loader;
GRANT SELECT ON system.tables TO loader;
GRANT SELECT ON system.columns TO loader;
GRANT SELECT ON system.mutations TO loader;

-- The live page.
CREATE USER IF NOT EXISTS live;
ALTER USER live IDENTIFIED WITH sha256_hash BY '{live}';
ALTER USER live SETTINGS PROFILE 'tapline_reader';
GRANT SELECT ON tapcart_raw.* TO live;
GRANT SELECT ON tapcart.* TO live;
GRANT SELECT ON system.tables TO live;
GRANT SELECT ON system.disks TO live;
GRANT SELECT ON system.events TO live;

-- Erases persons by hand or by a tool of yours: it reads and deletes, and cannot insert or change.
CREATE USER IF NOT EXISTS eraser;
ALTER USER eraser IDENTIFIED WITH sha256_hash BY '{eraser}';
GRANT SELECT, ALTER DELETE ON tapcart_raw.* TO eraser;
GRANT SELECT ON tapcart.* TO eraser;
GRANT SELECT ON system.mutations TO eraser;

-- People and BI tools. Views run with the reader's rights, so it reads the tables, too, and the policy holds there.
CREATE USER IF NOT EXISTS analyst;
ALTER USER analyst IDENTIFIED WITH sha256_hash BY '{analyst}';
ALTER USER analyst SETTINGS PROFILE 'tapline_reader';
GRANT SELECT ON tapcart_raw.* TO analyst;
GRANT SELECT ON tapcart.* TO analyst;
-- Not the quarantine, whose bodies are as they came, and no table that names no app.
REVOKE SELECT ON tapcart.quarantine FROM analyst;
REVOKE SELECT ON tapcart.audit_trail FROM analyst;
REVOKE SELECT ON tapcart_raw.audit_trail FROM analyst;
REVOKE SELECT ON tapcart_raw.quarantine FROM analyst;
REVOKE SELECT ON tapcart_raw.quarantine_replays FROM analyst;
CREATE ROW POLICY OR REPLACE tapline_app ON tapcart_raw.* FOR SELECT USING {app} TO analyst;
-- A table with a policy for one user is empty for all others, unless a policy says otherwise.
CREATE ROW POLICY OR REPLACE tapline_all ON tapcart_raw.* FOR SELECT USING 1 TO ALL EXCEPT analyst;
