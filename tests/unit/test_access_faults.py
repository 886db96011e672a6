"""Why ClickHouse or Kafka cannot be used is one sentence that names the setting, and holds no secret."""

from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from consumers.kit.errors import TransientError
from consumers.warehouse.clickhouse import querying
from deploy.demo.results import QueryClient, QueryError
from runtime import clickhouse
from runtime.environment import SettingsError
from runtime.kafka import diagnosis
from schemas.settings import Settings
from tests.support.tls import Authority, serving


class Denying(BaseHTTPRequestHandler):
    """A ClickHouse that rejects every login."""

    text = (
        "Code: 516. DB::Exception: loader: Authentication failed: password is incorrect, or there is no user "
        "with such name. (AUTHENTICATION_FAILED) (version 26.8.1.1 (official build))"
    )

    def do_POST(self) -> None:
        """Answer one query."""
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(403)
        self.send_header("X-ClickHouse-Exception-Code", self.text.partition(".")[0].removeprefix("Code: "))
        self.send_header("content-length", str(len(self.text)))
        self.end_headers()
        self.wfile.write(self.text.encode())

    def do_GET(self) -> None:
        """Answer one query."""
        self.do_POST()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


class WithoutRight(Denying):
    """A ClickHouse that has not granted what is needed."""

    text = (
        "Code: 497. DB::Exception: loader: Not enough privileges. To execute this query, it's necessary to "
        "have the grant SELECT(a, b) ON tapcart.events. (ACCESS_DENIED) (version 26.8.1.1 (official build))"
    )


def both(url: str) -> str:
    """Return the sentence, which the driver's client and the plain HTTP client have in common."""
    with pytest.raises(TransientError) as by_driver, querying():
        clickhouse.connect(url, "test", 5, {})
    with pytest.raises(QueryError) as by_http:
        QueryClient(url).ask("SELECT 1")
    assert str(by_driver.value) == str(by_http.value)
    assert "pass-word" not in str(by_driver.value)
    return str(by_driver.value)


def test_the_certificate_of_clickhouse(tmp_path: Path) -> None:
    """Of the wrong authority, expired, for another name, and no TLS at all, either way."""
    authority, login = Authority(tmp_path), "loader:pass-word"
    (tmp_path / "another").mkdir()
    another = Authority(tmp_path / "another").path

    def url(port: int, ca: Path, host: str = "localhost", scheme: str = "https") -> str:
        return f"{scheme}://{login}@{host}:{port}/" + (f"?ca_cert={ca}" if scheme == "https" else "")

    with serving(authority.issue(), Denying) as server:
        at = f"ClickHouse at localhost:{server.port}"
        assert both(url(server.port, another)) == (
            f"{at} has a certificate of an authority that is not in `ca_cert` in CLICKHOUSE_URL: "
            "set the right file."
        )
        assert both(url(server.port, another, scheme="http")) == (
            f"{at} expects TLS: begin CLICKHOUSE_URL with https://."
        )
        assert both(url(server.port, authority.path)).startswith(
            "ClickHouse rejects the login of the user `loader`"
        )
        server.show(authority.issue(-1))
        assert both(url(server.port, authority.path)) == (
            f"{at} has a certificate that has expired, or its authority's has: renew it on the server."
        )
        server.show(authority.issue(host="another.example"))
        assert both(url(server.port, authority.path)) == (
            f"{at} has a certificate for other names: use one of them in CLICKHOUSE_URL."
        )


@pytest.mark.parametrize(
    ("handler", "sentence"),
    [
        (
            Denying,
            "ClickHouse rejects the login of the user `loader`: correct name and password in CLICKHOUSE_URL.",
        ),
        (
            WithoutRight,
            "ClickHouse denies the user `loader` a right: grant SELECT(a, b) ON tapcart.events",
        ),
    ],
)
def test_the_login_of_clickhouse(handler: type[BaseHTTPRequestHandler], sentence: str) -> None:
    """Wrong, or without a right. And a port without TLS that a URL of https names."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        found = both(f"http://loader:pass-word@127.0.0.1:{server.server_port}")
        plain = both(f"https://loader:pass-word@127.0.0.1:{server.server_port}")
        server.shutdown()

    assert found.startswith(sentence)
    assert plain.startswith(f"ClickHouse at 127.0.0.1:{server.server_port} does not speak TLS as expected (")
    assert plain.endswith("use its TLS port in CLICKHOUSE_URL, or begin it with http://.")


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (
            "https://click:8443/?ca_cert=/nowhere/ca.pem",
            "ca_cert: /nowhere/ca.pem: No such file or directory",
        ),
        ("http://click:8123/?ca_cert=/etc/hostname", "may have only `?ca_cert=FILE`, and only with https"),
        ("https://click:8443/?database=x", "may have only `?ca_cert=FILE`, and only with https"),
        ("click:8443", "must be `http://[user:password@]host:port` or the same with https"),
    ],
)
def test_a_url_that_cannot_work_is_an_invalid_setting(url: str, problem: str) -> None:
    """Reported at the start."""
    with pytest.raises(SettingsError) as raised:
        Settings.from_env({"CLICKHOUSE_URL": url})

    assert str(raised.value) == f"CLICKHOUSE_URL: {problem}"


def test_the_servers_of_kafka_are_found_in_any_form() -> None:
    """With protocol, IPv6, or without a port."""
    servers = "SASL_SSL://one:9093, [::1]:9094,two,three:1"
    found = [(one.host, one.port) for one in diagnosis.servers({"bootstrap.servers": servers})]

    assert found == [("one", 9093), ("::1", 9094), ("two", 9092)]
