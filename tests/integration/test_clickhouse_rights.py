"""The rights of SQL on the bundled engine: every function, engine, source and format is tried.

A new feature of a new engine version fails these tests: it must be allowed here on purpose, or refused by the
configuration.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from deploy.local.clickhouse.configuration import CONSTANTS
from tests.support.front import Answer, http
from tests.support.stack import Stack
from tests.support.waiting import eventually

_NOWHERE = "http://127.0.0.1:9/"
_PASSWORD = "Q7f3zK1mW8sT5xB2"  # noqa: S105 - planted, to be looked for
_KEY = {"X-ClickHouse-Key": _PASSWORD}
_REFUSED, _NO_CLUSTER = "497", "701"

# These produce rows, or read tables that SELECT may read.
_ALLOWED_FUNCTIONS = set(
    """SQLStandardValues dictionary eval format fuzzQuery generateRandom generateSeries generate_series input
    loop merge mergeTreeAnalyzeIndexes mergeTreeAnalyzeIndexesUUID mergeTreeCodecBlockCounts mergeTreeIndex
    mergeTreeProjection mergeTreeTextIndex null numbers numbers_mt primes prometheusQuery
    prometheusQueryRange timeSeriesData timeSeriesMetricFamilies timeSeriesMetrics timeSeriesSamples
    timeSeriesSelector timeSeriesTags values view viewExplain viewIfPermitted zeros zeros_mt""".split()  # noqa: SIM905 - read more easily
)
_OF_S3 = f"'{_NOWHERE}bucket/x.csv', 'CSV', 'a Int8'"
_OF_A_LAKE = f"'{_NOWHERE}bucket/x'"
_OF_SERVERS = "'127.0.0.1:9', 'd', 't', 'u', 'p'"
# Longest prefix of the name -> arguments with which it would reach outside.
_ARGUMENTS = {
    "azureBlobStorage": f"'{_NOWHERE}', 'c', 'b', 'CSV', 'auto', 'a Int8'",
    "bigquery": "'p', 'd', 't', access_token = 'x'",
    **dict.fromkeys(["s3", "gcs", "oss", "cosn"], _OF_S3),
    **dict.fromkeys(["deltaLake", "hudi", "iceberg", "paimon"], _OF_A_LAKE),
    **dict.fromkeys(["deltaLakeLocal", "icebergLocal", "paimonLocal"], "'/tmp'"),
    **dict.fromkeys(["mysql", "postgresql"], _OF_SERVERS),
    "mongodb": f"{_OF_SERVERS}, 'a Int8'",
    "file": "'/etc/passwd', 'LineAsString', 'a String'",
    "filesystem": "'/etc'",
    "fuzzJSON": "named, '{}'",
    "hdfs": "'hdfs://127.0.0.1:9/x', 'CSV', 'a Int8'",
    **dict.fromkeys(["jdbc", "odbc"], "'x', 'd', 't'"),
    "redis": "'127.0.0.1:9', 'k', 'k Int8'",
    **dict.fromkeys(["remote", "remoteSecure"], "'127.0.0.1:9', 'system', 'one'"),
    "sqlite": "'/tmp/x.db', 't'",
    "url": f"'{_NOWHERE}', 'CSV', 'a Int8'",
    "ytsaurus": f"'{_NOWHERE}', '//x', 't', 'a Int8'",
    "cluster": "'default', 'system.one'",
    "executable": "'../../../../bin/sh', 'TSV', 'a Int8'",
    "python": "settings",
    "arrowstream": "settings",
}
# Refused for another reason: no cluster, program or Python object exists to be named.
_CODES = {"cluster": _NO_CLUSTER, "clusterAllReplicas": _NO_CLUSTER, "executable": "1", "python": "801"} | {
    "arrowstream": "47",
    "sqlite": "481",
}

_ALLOWED_ENGINES = set(
    """AggregatingMergeTree Alias Buffer CoalescingMergeTree CollapsingMergeTree Dictionary EmbeddedRocksDB
    FuzzJSON FuzzQuery GenerateRandom GraphiteMergeTree Join Log Loop MaterializedView Memory Merge MergeTree
    Null QueryRunner ReplacingMergeTree Set StripeLog SummingMergeTree TimeSeries TinyLog
    VersionedCollapsingMergeTree View""".split()  # noqa: SIM905 - read more easily
)
_ENGINE_ARGUMENTS = {
    "AzureBlobStorage": "('AccountName=x;AccountKey=eA==;BlobEndpoint=http://127.0.0.1:9/', 'c', 'b', 'CSV')",
    "AzureQueue": "('AccountName=x;AccountKey=eA==;BlobEndpoint=http://127.0.0.1:9/', 'c', '*', 'CSV')"
    " SETTINGS mode = 'unordered'",
    "BigQuery": "('p', 'd', 't', access_token = 'x')",
    "Distributed": "(x, default, t)",
    "HDFS": "('hdfs://127.0.0.1:9/x', 'CSV')",
    "Kafka": "('127.0.0.1:9', 't', 'g', 'CSV')",
    "MaterializedPostgreSQL": f"({_OF_SERVERS}) PRIMARY KEY a",
    "Redis": "('127.0.0.1:9') PRIMARY KEY a",
    "S3": f"('{_NOWHERE}bucket/x.csv', 'CSV')",
    "S3Queue": f"('{_NOWHERE}bucket/*', 'CSV') SETTINGS mode = 'unordered'",
    "SQLite": "('/tmp/x', 't')",
    "URL": f"('{_NOWHERE}', 'CSV')",
    "YTsaurus": f"('{_NOWHERE}', '//x', 't')",
    **dict.fromkeys(["JDBC", "ODBC"], "('x', 'd', 't')"),
    **dict.fromkeys(["MongoDB", "MySQL", "PostgreSQL"], f"({_OF_SERVERS})"),
    **dict.fromkeys(["Remote", "RemoteSecure"], "('127.0.0.1:9', default, t)"),
    **dict.fromkeys(["Hudi", "Iceberg"], f"({_OF_A_LAKE})"),
    **dict.fromkeys(["DeltaLakeLocal", "IcebergLocal", "PaimonLocal"], "('/tmp')"),
}
# Refused for another reason; Replicated: there is no ZooKeeper.
_ENGINE_CODES = {"ArrowStream": "1001", "FileLog": "36", "KeeperMap": "36"}
_ENGINE_ARGUMENTS |= {"ArrowStream": "(x)", "FileLog": "('/etc', 'CSV')", "KeeperMap": "('/x') PRIMARY KEY a"}
# Created without checks; a program is looked up when it is read.
_WITHOUT_PROGRAMS = {"Executable", "ExecutablePool"}

_ALLOWED_DATABASES = {"Atomic", "Dictionary", "Memory"}
_DATABASE_ARGUMENTS = {
    "Backup": "('default', File('/tmp/b'))",
    "DataLakeCatalog": f"('{_NOWHERE}') SETTINGS warehouse = 'x', catalog_type = 'rest'",
    "Filesystem": "('/etc')",
    "HDFS": "('hdfs://127.0.0.1:9/x')",
    "Replicated": "('/x', 's', 'r')",
    "S3": f"('{_NOWHERE}b/', 'NOSIGN')",
    "SQLite": "('/tmp/x.db')",
    "URL": f"('{_NOWHERE}')",
    **dict.fromkeys(["MaterializedPostgreSQL", "MySQL", "PostgreSQL"], "('127.0.0.1:9', 'd', 'u', 'p')"),
    **dict.fromkeys(["Remote", "RemoteSecure"], "('127.0.0.1:9', 'system')"),
}
# Disabled by constant settings; no ZooKeeper; deprecated.
_DATABASE_CODES = {"DataLakeCatalog": "344", "Replicated": "225", "Ordinary": "336"}

# Text settings that name no place outside.
_HARMLESS_SETTINGS = set(
    """additional_result_filter additional_table_filters allow_deprecated_database_ordinary
    allow_experimental_database_atomic allow_experimental_database_materialized_mysql
    allow_experimental_database_materialized_postgresql allow_experimental_database_replicated
    bool_false_representation bool_true_representation
    chdb_client_name column_names_for_schema_inference compatibility compression
    count_distinct_implementation database default_format default_view_definer
    distributed_cache_client_id distributed_cache_file_cache_name distributed_plan_force_exchange_kind
    errors_output_format exclude_materialize_skip_indexes_on_insert filesystem_cache_name filter
    force_data_skipping_indices force_optimize_projection_name format format_csv_null_representation
    format_custom_field_delimiter format_custom_result_after_delimiter
    format_custom_result_before_delimiter format_custom_row_after_delimiter
    format_custom_row_before_delimiter format_custom_row_between_delimiter
    format_json_object_each_row_column_for_object_name format_regexp format_schema_message_name
    format_template_resultset_format format_template_row_format format_template_rows_between_delimiter
    format_tsv_null_representation framing_output_format function_implementation http_response_headers
    iceberg_metadata_compression_method ignore_data_skipping_indices input_format
    input_format_mysql_dump_table_name input_format_orc_reader_time_zone_name insert_deduplication_token
    local_filesystem_read_method log_comment merge_tree_auto_statistics_types
    merge_tree_cache_populated_by_fetch_filename_regexp merge_tree_columns_to_prewarm_mark_cache
    merge_tree_default_compression_codec merge_tree_exclude_materialize_skip_indexes_on_merge
    merge_tree_marks_compression_codec merge_tree_merge_workload merge_tree_mutation_workload
    merge_tree_primary_key_compression_codec merge_tree_remote_fs_zero_copy_zookeeper_path
    metrics_perf_events_list network_compression_method order output_format output_format_avro_codec
    output_format_avro_confluent_subject output_format_avro_string_column_pattern
    output_format_image_terminal_mode output_format_orc_writer_time_zone_name
    output_format_pretty_grid_charset output_format_sql_insert_table_name parallel_replicas_custom_key
    preferred_optimize_projection_name promql_database promql_table query_cache_tag
    remote_filesystem_read_method s3_upload_checksum_algorithm s3queue_default_zookeeper_path
    schema_inference_hints select send_logs_source_regexp sort stream_like_engine_insert_queue
    temporary_files_codec trace_profile_events_list workload""".split()  # noqa: SIM905 - read more easily
) | {f"allow_experimental_database_{name}_catalog" for name in ("glue", "unity")}  # constants by other names
_HARMLESS_SETTINGS.add("allow_experimental_database_iceberg")

_STATEMENTS = {
    "CREATE DICTIONARY d (a Int8) PRIMARY KEY a LAYOUT(FLAT()) LIFETIME(0) SOURCE(NULL())": _REFUSED,
    "CREATE FUNCTION f AS x -> x": _REFUSED,
    "CREATE NAMED COLLECTION c AS a = 1": _REFUSED,
    "DROP NAMED COLLECTION c": _REFUSED,
    "CREATE USER u": _REFUSED,
    "CREATE ROLE r": _REFUSED,
    "CREATE QUOTA q": _REFUSED,
    "CREATE WORKLOAD w": _REFUSED,
    "CREATE HANDLER h URL '/x' AS SELECT 1": _REFUSED,
    "CREATE RESOURCE r (READ ANY DISK)": _REFUSED,
    "CREATE VIEW v SQL SECURITY NONE AS SELECT 1": _REFUSED,
    "GRANT ALL ON *.* TO default": _REFUSED,
    "EXECUTE AS default SELECT 1": "344",
    "SYSTEM SHUTDOWN": _REFUSED,
    "SYSTEM FLUSH LOGS": _REFUSED,
    "SYSTEM DROP DNS CACHE": _REFUSED,
    "SYSTEM RELOAD CONFIG": "1",
    "BACKUP TABLE t TO File('/tmp/b')": _REFUSED,
    "BACKUP TABLE t TO S3('http://127.0.0.1:9/b/', 'a', 'b')": _REFUSED,
    "BACKUP TABLE t TO Disk('default', 'b')": "36",
    "BACKUP TABLE t TO Disk('backups', '../b')": "36",
    "RESTORE TABLE t FROM File('/tmp/b')": _REFUSED,
    "ATTACH TABLE a FROM '/etc/' (a Int8) ENGINE = MergeTree ORDER BY a": "481",
    "ATTACH TABLE a (a String) ENGINE = File(CSV)": _REFUSED,
    "CREATE TABLE a AS url('http://127.0.0.1:9/', 'CSV', 'a Int8')": _REFUSED,
    "CREATE VIEW a AS SELECT * FROM file('/etc/passwd', 'LineAsString')": _REFUSED,
    "INSERT INTO FUNCTION file('/tmp/x', 'CSV', 'a Int8') SELECT 1": _REFUSED,
    "INSERT INTO FUNCTION url('http://127.0.0.1:9/', 'CSV', 'a Int8') SELECT 1": _REFUSED,
    "CREATE TABLE a (a Int8) ENGINE = MergeTree ORDER BY a"
    " SETTINGS disk = disk(type = 'local_blob_storage', path = '/tmp/x/')": "1001",  # by the kernel
    "CREATE TABLE a (a Int8) ENGINE = MergeTree ORDER BY a"
    " SETTINGS disk = disk(type = 'web', endpoint = 'http://127.0.0.1:9/')": "452",
    "ALTER TABLE t MODIFY SETTING disk = 'backups'": "452",
    "CREATE TABLE system.a (a Int8) ENGINE = Memory": _REFUSED,
    "SELECT * FROM _files.`/etc/passwd`": _REFUSED,
    "DROP DATABASE default": _REFUSED,
    "SELECT * FROM settings": "60",  # no Python object of the front is a table
    "SELECT 1 INTO OUTFILE '/tmp/x'": "237",
    "SET dialect = 'prql'": "452",
    "SET allow_experimental_database_iceberg = 1": "452",
    "SELECT 1 SETTINGS format_schema = '/etc/passwd:M'": "452",
    "SELECT 1 FORMAT Template SETTINGS format_template_row = '/etc/passwd'": "452",
    "SELECT * FROM format(CSV, 'a Int8', 'x') SETTINGS input_format_allow_errors_num = 1,"
    " input_format_record_errors_file_path = '/tmp/x'": "452",
    "SELECT * FROM format(AvroConfluent, 'x')"
    " SETTINGS format_avro_schema_registry_url = 'http://127.0.0.1:9/'": "452",
}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """An engine whose stack has all possible secrets."""
    folder = tmp_path_factory.mktemp("rights")
    names = ("CLICKHOUSE_PASSWORD", "INGEST_TOKENS", "LIVE_TOKEN", "KAFKA_SASL_PASSWORD")
    stack = Stack(folder / "data", "clickhouse", dict.fromkeys(names, _PASSWORD)).start()
    (folder / "secret").write_text("planted")
    assert run(stack, "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a").status == 200
    yield stack
    stack.stop()


def run(stack: Stack, text: str, path: str = "/") -> Answer:
    """Return the answer to a statement, with the password."""
    return http(stack, path, text.encode(), _KEY)


def names(stack: Stack, query: str) -> list[str]:
    """Return the names found by a query."""
    answer = run(stack, f"{query} FORMAT JSONColumns")
    assert answer.status == 200, answer.body
    return list(next(iter(json.loads(answer.body).values())))


def test_every_table_function_is_allowed_or_refused(secrets: Stack) -> None:
    """Refused means: the engine itself reports the missing right."""
    codes = {}
    for name in names(secrets, "SELECT name FROM system.table_functions"):
        if name not in _ALLOWED_FUNCTIONS:
            arguments = _arguments(name.removesuffix("Cluster"))
            on_cluster = name.endswith("Cluster")
            call = f"{name}('default', {arguments})" if on_cluster else f"{name}({arguments})"
            expected = _NO_CLUSTER if on_cluster else _CODES.get(name, _REFUSED)
            codes[name] = (run(secrets, f"SELECT * FROM {call}").code, expected)

    assert {name: got for name, got in codes.items() if got[0] != got[1]} == {}


def test_every_table_engine_is_allowed_or_refused(secrets: Stack) -> None:
    """Including those that only CREATE TABLE accepts."""
    codes = {}
    for name in names(secrets, "SELECT name FROM system.table_engines"):
        if name not in _ALLOWED_ENGINES | _WITHOUT_PROGRAMS:
            arguments = "('/x', 'r') ORDER BY a" if name.startswith("Replicated") else ""
            arguments = _ENGINE_ARGUMENTS.get(name, arguments)
            code = run(secrets, f"CREATE TABLE e_{name} (a Int8) ENGINE = {name}{arguments}").code
            codes[name] = (code, _ENGINE_CODES.get(name, _REFUSED))
    made = {name: got for name, (got, _) in codes.items() if got is None}

    assert made == {}
    others = {name: got for name, got in codes.items() if not name.startswith("Replicated")}
    assert {name: got for name, got in others.items() if got[0] != got[1]} == {}


@pytest.mark.parametrize("program", ["sh", "/bin/sh", "../../../../../../bin/sh"])
def test_a_table_runs_no_program(secrets: Stack, program: str) -> None:
    """The engine finds none, and the kernel would not start one."""
    for number, name in enumerate(sorted(_WITHOUT_PROGRAMS)):
        table = f"p{number}"
        run(secrets, f"CREATE OR REPLACE TABLE {table} (a Int8) ENGINE = {name}('{program}', 'TSV')")

        assert run(secrets, f"SELECT * FROM {table}").code == "1"


def test_every_database_engine_is_allowed_or_refused(secrets: Stack) -> None:
    """A database may be on another server."""
    codes = {}
    for name in names(secrets, "SELECT name FROM system.database_engines"):
        if name not in _ALLOWED_DATABASES:
            arguments = _DATABASE_ARGUMENTS.get(name, "")
            code = run(secrets, f"CREATE DATABASE d_{name} ENGINE = {name}{arguments}").code
            codes[name] = (code, _DATABASE_CODES.get(name, _REFUSED))

    assert {name: got for name, got in codes.items() if got[0] != got[1]} == {}


@pytest.mark.slow
def test_no_dictionary_of_any_source_and_layout(secrets: Stack) -> None:
    """The right to create one is missing, for any source."""
    codes = set()
    for source in names(secrets, "SELECT name FROM system.dictionary_sources"):
        for layout in names(secrets, "SELECT name FROM system.dictionary_layouts"):
            what = f"SOURCE({source}()) LAYOUT({layout}()) LIFETIME(0)"
            codes.add(run(secrets, f"CREATE DICTIONARY d (a UInt64, b Int8) PRIMARY KEY a {what}").code)

    assert codes == {_REFUSED}


@pytest.mark.parametrize("text", _STATEMENTS)
def test_refuses_a_statement(secrets: Stack, text: str) -> None:
    """By its right, its place or its setting."""
    assert run(secrets, text).code == _STATEMENTS[text]


def test_every_setting_that_names_a_place_is_constant_or_harmless(secrets: Stack) -> None:
    """New settings of a new engine must be reviewed and added to one of the lists."""
    kinds = "type IN ('String', 'Map', 'URI') OR match(name, '^(dynamic_disk_|allow_.*database)')"
    found = names(secrets, f"SELECT name FROM system.settings WHERE {kinds}")
    tables = names(secrets, f"SELECT 'merge_tree_' || name FROM system.merge_tree_settings WHERE {kinds}")

    assert set(found) | set(tables) <= set(CONSTANTS) | _HARMLESS_SETTINGS


def test_every_constant_is_a_setting(secrets: Stack) -> None:
    """Constraining an unknown setting would have no effect."""
    known = names(
        secrets,
        "SELECT name FROM system.settings UNION ALL"
        " SELECT 'merge_tree_' || name FROM system.merge_tree_settings",
    )
    codes = [run(secrets, "SELECT 1", f"/?{name}=1").code for name in CONSTANTS if "merge_tree" not in name]

    assert set(CONSTANTS) <= set(known)
    # 1 may be its current value, or an invalid one.
    assert set(codes) <= {"452", None, "36", "72"}
    assert codes.count("452") > len(codes) / 2


@pytest.mark.slow
def test_every_format_reads_and_writes_without_files(secrets: Stack) -> None:
    """With a schema from a file: no format accepts that setting."""
    for name in names(secrets, "SELECT name FROM system.formats WHERE is_output"):
        query = f"SELECT 1 AS a SETTINGS format_schema = '{secrets.data_dir.parent}/secret:M' FORMAT {name}"
        assert run(secrets, query).code == "452"
    for name in names(secrets, "SELECT name FROM system.formats WHERE is_input"):
        query = f"SELECT * FROM format({name}, 'a Int8', 'x') SETTINGS format_schema_source = 'string'"
        assert run(secrets, query).code == "452"


@pytest.mark.parametrize("field", ["default_format", "X-ClickHouse-Format"])
def test_a_format_is_one_word(secrets: Stack, tmp_path: Path, field: str) -> None:
    """It would be inserted into the statement."""
    target = tmp_path / "out"
    attack = f"TSV; SELECT 'owned' INTO OUTFILE '{target}'"
    of_url = field == "default_format"
    path = f"/?query={quote('SELECT 1')}" + (f"&default_format={quote(attack)}" if of_url else "")
    answer = http(secrets, path, None, _KEY | ({} if of_url else {field: attack}))

    assert answer.code == "73"
    assert not target.exists()


@pytest.mark.parametrize("path", ["/etc/passwd", "/proc/1/environ", "{parent}/environ", "{secret}", "{run}"])
def test_reads_no_file(secrets: Stack, path: str) -> None:
    """Not even by the function that the engine allows: the kernel refuses."""
    places = {
        "parent": f"/proc/{os.getppid()}",
        "secret": str(secrets.data_dir.parent / "secret"),
        "run": str(secrets.data_dir / "run" / "clickhouse-password"),
    }
    answer = run(secrets, f"SELECT file('{path.format(**places)}')")

    assert answer.code == "76"
    assert b"Permission denied" in answer.body


def test_its_own_environment_has_no_secret(secrets: Stack) -> None:
    """Nor are there any in places that it can read."""
    for place in ("environ", "cmdline", "maps"):
        answer = run(secrets, f"SELECT file('/proc/self/{place}')")
        assert answer.status == 200
        assert len(answer.body) > 20
        assert _PASSWORD.encode() not in answer.body
    for process in ("clickhouse", "supervisord"):
        is_secret = _PASSWORD.encode() in Path(f"/proc/{secrets.pid(process)}/environ").read_bytes()
        assert is_secret == (process == "supervisord")


def test_writes_no_file_elsewhere(secrets: Stack, tmp_path: Path) -> None:
    """By a table engine that takes a path."""
    run(secrets, f"CREATE TABLE rocks (a Int8) ENGINE = EmbeddedRocksDB(0, '{tmp_path}/rocks') PRIMARY KEY a")

    assert list(tmp_path.iterdir()) == []


def test_the_kernel_confines_the_process(secrets: Stack) -> None:
    """And the stack reports it."""
    status = Path(f"/proc/{secrets.pid('clickhouse')}/status").read_text()

    assert "Seccomp:\t2" in status
    assert "NoNewPrivs:\t1" in status
    assert (
        "clickhouse: can access only its own files, and cannot open connections or start programs"
        in secrets.said
    )


def test_files_are_for_their_owner(secrets: Stack) -> None:
    """Those of the engine and of the stack."""
    open_to_others = [
        path
        for name in ("clickhouse", "run", "log", "backups")
        for path in (secrets.data_dir / name).rglob("*")
        if not path.is_symlink() and path.stat().st_mode & 0o077
    ]

    assert open_to_others == []
    assert [p for p in secrets.data_dir.iterdir() if p.is_dir() and p.stat().st_mode & 0o077] == []


def test_backs_up_and_restores_on_its_disk(secrets: Stack) -> None:
    """The allowed commands work."""
    run(secrets, "CREATE TABLE kept (a Int8) ENGINE = MergeTree ORDER BY a")
    run(secrets, "INSERT INTO kept VALUES (1), (2)")

    assert run(secrets, "BACKUP TABLE kept TO Disk('backups', 'kept')").status == 200
    assert run(secrets, "RESTORE TABLE kept AS again FROM Disk('backups', 'kept')").status == 200
    assert run(secrets, "SELECT sum(a) FROM again").body == b"3\n"


@pytest.mark.slow
def test_opens_a_folder_of_an_earlier_release(tmp_path: Path) -> None:
    """Its `default` database had two layers, the second of which exposed files; its tables stay."""
    earlier = (
        "import sys; from chdb.state.sqlitelike import Connection; c = Connection(sys.argv[1]);"
        " c.query('CREATE TABLE kept (a Int8) ENGINE = MergeTree ORDER BY a');"
        " c.query('INSERT INTO kept VALUES (7)');"
        " c.query('CREATE VIEW seen AS SELECT a FROM kept'); c.close()"
    )
    folder = tmp_path / "clickhouse"
    subprocess.run([sys.executable, "-c", earlier, str(folder)], check=True, timeout=120)
    assert (folder / "metadata/default").is_symlink()
    assert not (folder / "metadata/default.sql").exists()

    stack = Stack(tmp_path, "clickhouse").start()
    try:
        for _ in range(2):
            engine = http(stack, "/", b"SELECT engine FROM system.databases WHERE name = 'default'").body
            assert (http(stack, "/", b"SELECT a FROM seen").body, engine) == (b"7\n", b"Atomic\n")
            stack.kill("clickhouse")
            eventually(lambda: http(stack, "/ping").status == 200, what="the engine is back")
    finally:
        stack.stop()


def _arguments(name: str) -> str:
    fitting = [beginning for beginning in _ARGUMENTS if name.startswith(beginning)]
    return _ARGUMENTS[max(fitting, key=len)] if fitting else ""
