"""Settings -> the engine's configuration: its limits, and the rights of SQL.

Invariants: the engine itself refuses everything that is not granted, however a statement is written: files,
addresses, programs, dictionaries, functions, named collections, users, and every SYSTEM command except STOP
and START MERGES. Settings that name a file, a disk or an address, or that change parsing, are constant.
Backups go only to the disk `backups`. Source: system.privileges, system.settings and
system.merge_tree_settings of ClickHouse 26.9; a test tries every table function, table engine, database
engine, dictionary source and format of the engine in use.
"""

import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

from deploy.local.clickhouse.settings import Settings

# chDB presents files as tables in a database of this name, so no one may access it.
_FILES_DATABASE = "_files"
_GRANTED = (
    "GRANT SHOW, SELECT, INSERT, CHECK, ALTER TABLE, ALTER VIEW, ALTER MODIFY DATABASE COMMENT,"
    " CREATE DATABASE, CREATE TABLE, CREATE VIEW, CREATE TEMPORARY TABLE, CREATE TEMPORARY VIEW,"
    " DROP DATABASE, DROP TABLE, DROP VIEW, UNDROP TABLE, TRUNCATE, OPTIMIZE, KILL QUERY, BACKUP ON *.*"
)
_GRANTS: tuple[str, ...] = (
    _GRANTED,
    "GRANT SYSTEM MERGES ON *.*",
    "GRANT READ, WRITE ON DISK",
    f"REVOKE ALL ON {_FILES_DATABASE}.*",
    "REVOKE INSERT, ALTER, CREATE, DROP, TRUNCATE ON system.*",
    # Without it no connection can be opened any more.
    "REVOKE DROP DATABASE ON default.*",
)
CONSTANTS = (
    # Parsing: the front must know how the engine reads a statement.
    "allow_settings_after_format_in_insert",
    "dialect",
    "implicit_select",
    "implicit_table_at_top_level",
    "max_parser_backtracks",
    "max_parser_depth",
    "polyglot_dialect",
    # Files.
    "format_schema",
    "format_schema_source",
    "format_template_resultset",
    "format_template_row",
    "input_format_record_errors_file_path",
    "into_outfile_create_parent_directories",
    "output_format_schema",
    "rename_files_after_processing",
    # Disks.
    "dynamic_disk_allow_from_env",
    "dynamic_disk_allow_from_zk",
    "dynamic_disk_allow_include",
    "merge_tree_disk",
    "merge_tree_storage_policy",
    "merge_tree_table_disk",
    # Addresses.
    "ai_function_embedding_default_credentials",
    "ai_function_text_default_credentials",
    "allow_database_glue_catalog",
    "allow_database_iceberg",
    "allow_database_unity_catalog",
    "allow_experimental_database_hms_catalog",
    "allow_experimental_database_paimon_rest_catalog",
    "cluster_for_parallel_replicas",
    "format_avro_schema_registry_url",
    "s3_base",
    "url_base",
    # The process.
    "allow_introspection_functions",
)

# Two threads merge and remove. A removal is a task for each part of its table, and while there is no room for
# more tasks, the engine waits: for half a second on average, if there were only the usual four. So there are
# 64, and the wait is short. Whole days are merged four at a time, as before.
_BACKGROUND = {
    "background_pool_size": 2,
    "background_merges_mutations_concurrency_ratio": 32,
    "background_processing_pool_task_sleep_seconds_when_no_work_random_part": 0.05,
}
_OF_TABLES = {
    "number_of_free_entries_in_pool_to_execute_optimize_entire_partition": 60,
    # Old files may hold rows of erased people. By default, ClickHouse looks for them every 5 minutes at most
    # while a table is idle.
    "max_cleanup_delay_period": 60,
}

_CONFIG = """\
<clickhouse>
  <max_server_memory_usage>{memory}</max_server_memory_usage>
  {background}
  <merge_tree>{of_tables}</merge_tree>
  <default_database>{files}</default_database>
  <tmp_path>{folder}/tmp/</tmp_path>
  <user_files_path>{folder}/user_files/</user_files_path>
  <user_scripts_path>{folder}/user_scripts/</user_scripts_path>
  <format_schema_path>{folder}/format_schemas/</format_schema_path>
  <remote_url_allow_hosts></remote_url_allow_hosts>
  <storage_configuration><disks>
    <backups><type>local</type><path>{backups}/</path></backups>
  </disks></storage_configuration>
  <backups><allowed_disk>backups</allowed_disk></backups>
  <user_directories><users_xml><path>{users}</path></users_xml></user_directories>
</clickhouse>
"""
# implicit_select: on in chDB, off in a server, where a bare word is a syntax error and not a column name.
# max_threads_min_free_memory_per_thread: a GiB per thread would leave one of two cores unused.
_USERS = """\
<clickhouse>
  <profiles><default>
    <implicit_select>0</implicit_select>
    <allow_introspection_functions>0</allow_introspection_functions>
    <max_memory_usage>{query_memory}</max_memory_usage>
    <max_execution_time>{seconds}</max_execution_time>
    <max_result_bytes>{result}</max_result_bytes>
    <max_threads_min_free_memory_per_thread>0</max_threads_min_free_memory_per_thread>
    <constraints>
      <max_memory_usage><min>1</min><max>{query_memory}</max></max_memory_usage>
      <max_execution_time><min>0.001</min><max>{seconds}</max></max_execution_time>
      <max_result_bytes><min>1</min><max>{result}</max></max_result_bytes>
      {constants}
    </constraints>
  </default></profiles>
  <users><default>
    <password></password><networks><ip>::/0</ip></networks><profile>default</profile><quota>default</quota>
    <grants>{grants}</grants>
  </default></users>
  <quotas><default></default></quotas>
</clickhouse>
"""


def folder(settings: Settings) -> Path:
    """Return the engine's data folder."""
    return settings.data_dir.resolve() / "clickhouse"


def backups(settings: Settings) -> Path:
    """Return the folder of the disk `backups`."""
    return settings.data_dir.resolve() / "backups"


def files(settings: Settings) -> Path:
    """Return the folder of the configuration, which the engine reloads by itself."""
    return settings.data_dir.resolve() / "run" / "clickhouse"


def write(settings: Settings) -> Path:
    """Create the folders and the configuration files; return the main file's path."""
    for path in (folder(settings) / "tmp", backups(settings), files(settings)):
        path.mkdir(parents=True, exist_ok=True)
    users, config = files(settings) / "users.xml", files(settings) / "config.xml"
    users.write_text(
        _USERS.format(
            query_memory=settings.query_memory_bytes_max,
            seconds=settings.query_seconds_max,
            result=settings.result_bytes_max,
            constants=_elements(dict.fromkeys(CONSTANTS, "<const/>")),
            grants="".join(f"<query>{grant}</query>" for grant in _GRANTS),
        )
    )
    config.write_text(
        _CONFIG.format(
            memory=settings.memory_bytes_max,
            background=_elements(_BACKGROUND),
            of_tables=_elements(_OF_TABLES),
            files=_FILES_DATABASE,
            folder=escape(os.fspath(folder(settings))),
            backups=escape(os.fspath(backups(settings))),
            users=escape(os.fspath(users)),
        )
    )
    return config


def make_default_database(settings: Settings) -> None:
    """Make `default` a plain database, in a new folder and in one created by chDB.

    chDB builds it from two layers, the second of which exposes files. Its tables lie where the link points,
    under an id that this statement repeats. The engine recreates the link, and would otherwise treat it as
    its own.
    """
    metadata = folder(settings) / "metadata"
    metadata.mkdir(parents=True, exist_ok=True)
    link, statement = metadata / "default", metadata / "default.sql"
    if not statement.exists():
        identity = link.readlink().name if link.is_symlink() else str(uuid.uuid4())
        new = statement.with_suffix(".new")
        new.write_text(f"ATTACH DATABASE _ UUID '{identity}'\nENGINE = Atomic\n")
        new.replace(statement)
    if link.is_symlink():
        link.unlink()


def _elements(values: Mapping[str, object]) -> str:
    return "".join(f"<{name}>{value}</{name}>" for name, value in values.items())
