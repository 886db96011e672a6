"""The variables that each service gets."""

from deploy.local.environment import variables

_ENV = {
    "CLICKHOUSE_PASSWORD": "hush",
    "CLICKHOUSE_PASSWORD_FILE": "/data/run/clickhouse-password",
    "CLICKHOUSE_URL": "http://default:hush@127.0.0.1:8123",
    "CLICKHOUSE_QUERIES_MAX": "4",
    "DATA_DIR": "/data",
    "INGEST_TOKENS": "hush",
    "INGEST_TOKENS_FILE": "/data/token",
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "KAFKA_SASL_PASSWORD": "hush",
    "LIVE_TOKEN": "hush",
    "PATH": "/bin",
    "SCHEMA_REGISTRY_BASIC_AUTH_USER_INFO": "me:hush",
    "SSL_CERT_FILE": "/ca.pem",
    "UNKNOWN_SECRET": "hush",
}


def test_programs_of_others_get_what_they_need_alone() -> None:
    """ClickHouse runs any SQL, which could read /proc/self/environ."""
    assert variables("kafka", _ENV) == ["PATH"]
    assert set(variables("clickhouse", _ENV)) == {
        "CLICKHOUSE_PASSWORD_FILE",
        "CLICKHOUSE_QUERIES_MAX",
        "DATA_DIR",
        "PATH",
    }


def test_a_secret_reaches_its_own_process() -> None:
    """Other variables reach all of our services."""
    got = {name: set(variables(name, _ENV)) for name in ("ingest", "live", "warehouse")}

    assert all({"KAFKA_SASL_PASSWORD", "SSL_CERT_FILE", "DATA_DIR"} <= names for names in got.values())
    assert not any("INGEST_TOKENS" in names for names in got.values())
    assert {name for name, names in got.items() if "LIVE_TOKEN" in names} == {"live"}
    assert {name for name, names in got.items() if "CLICKHOUSE_URL" in names} == {"live", "warehouse"}
    assert not any("CLICKHOUSE_PASSWORD" in names for names in got.values())
