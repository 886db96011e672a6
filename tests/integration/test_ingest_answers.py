"""Every row of docs/webhook.md's table of HTTP answers, against a real broker."""

import contextlib
import gzip
import json
import socket
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import brotli
import httpx
import pytest
import zstandard
from confluent_kafka import Message

from consumers.kit.decode import fields_of
from runtime.kafka import record_headers, topic_contract, topics
from schemas.catalog import wire
from schemas.catalog.catalog import Catalog
from tests.bench.partitions import partition
from tests.support.process import SAMPLES, TOKEN, Ingest
from tests.support.stack import Stack
from tests.support.topic import end_offsets, headers_of, messages_since, value_of
from tests.support.waiting import eventually, patience
from tests.unit.ingest.test_record_bytes import growing

CATALOG = Catalog.load()
BOUND = "bound-to-two-app-ids"
SAMPLE_FILES = sorted(SAMPLES.glob("*.json"))


@pytest.fixture(scope="module")
def ingest(services: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ingest]:
    """An ingest process of this module's own."""
    process = Ingest(
        services.kafka,
        tmp_path_factory.mktemp("ingest"),
        {"INGEST_TOKENS": f"{TOKEN},{BOUND}:a7Kq2mXw9L|other"},
    ).start()
    assert eventually(process.direct)
    assert eventually(lambda: end_offsets(services.kafka, topics.EVENTS))
    yield process
    assert process.stop() == 0


def sample(name: str = "AppOpened", **changes: object) -> dict[str, Any]:
    """Return a sample with top-level fields changed."""
    event: dict[str, Any] = json.loads((SAMPLES / f"{name}.json").read_text())
    return event | changes


class Kept:
    """The messages that one request added to the topics."""

    def __init__(self, ingest: Ingest) -> None:
        self._kafka = ingest.kafka
        self._before = {topic: end_offsets(ingest.kafka, topic) for topic in topics.ALL}

    def __call__(self, topic: str) -> list[Message]:
        """Return the messages added to `topic`."""
        return messages_since(self._kafka, topic, self._before[topic])


@pytest.mark.parametrize("path", SAMPLE_FILES, ids=lambda path: path.stem)
def test_a_documented_event_is_kept(ingest: Ingest, path: Path) -> None:
    """200, and one record: key, headers, checksum and schema follow the contract."""
    kept = Kept(ingest)
    body = path.read_bytes()
    answer = ingest.post(body)

    assert answer.status_code == 200, answer.text
    (message,) = kept(topics.EVENTS)
    event = json.loads(body)
    headers = headers_of(message)
    release = CATALOG.by_wire_id(wire.wire_id_of(value_of(message)) or 0)
    assert release
    assert release.schema_id == event["metadata"]["schema_id"]
    assert message.key() == event["app_id"].encode()
    assert headers[record_headers.SCHEMA_ID].decode() == release.schema_id
    assert headers[record_headers.EVENT_TYPE].decode() == event["event_type"]
    assert headers[record_headers.EVENT_ID].decode() == event["event_id"]
    assert abs(int(headers[record_headers.RECEIVED_AT_MS]) - time.time() * 1000) < 60_000
    assert headers[record_headers.CRC32] == zlib.crc32(value_of(message)).to_bytes(4, "big")
    assert kept(topics.QUARANTINE) == []


def test_the_senders_trace_is_a_header_of_its_record(ingest: Ingest) -> None:
    """Also of a compressed and of a rejected body; what is no traceparent is ignored."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    kept, whole = Kept(ingest), json.dumps(sample()).encode()
    ingest.post(whole, traceparent=trace)
    ingest.post(gzip.compress(whole), traceparent=trace, **{"content-encoding": "gzip"})
    ingest.post(b"{", traceparent=trace)
    ingest.post(whole, traceparent="00-0af7651916cd43dd8448eb211c80319c")
    ingest.client.post(ingest.url, content=whole, headers=[("traceparent", trace)] * 2)
    found = [headers_of(one).get(record_headers.TRACEPARENT) for one in kept(topics.EVENTS)]

    assert found == [trace.encode()] * 2 + [None] * 2
    (rejected,) = kept(topics.QUARANTINE)
    assert headers_of(rejected)[record_headers.TRACEPARENT] == trace.encode()


def test_one_app_is_one_partition(ingest: Ingest) -> None:
    """The key decides the partition, like Java's partitioner (murmur2)."""
    kept = Kept(ingest)
    for number in range(5):
        ingest.post(json.dumps(sample(app_id="demo-1", event_id=str(number))))

    assert {message.partition() for message in kept(topics.EVENTS)} == {
        partition(b"demo-1", topic_contract.PARTITIONS[topics.EVENTS])
    }


@pytest.mark.parametrize(
    "changes",
    [
        {"event_type": "WishlistShared", "metadata": {"schema_id": "Event_WishlistShared_1_0_0"}},
        {"metadata": {"schema_id": "Event_AppOpened_6_0_0"}},
        {"metadata": None},
        {"brand_new": {"a": [1]}},
        {"device_properties": None},
        {"device_properties": "gone"},
        {"session_id": 17},
        {"device_id": None},
        {"timestamp": "1760011205031"},
        {"timestamp": 1760011205031.0},
        {"timestamp": "soon"},
        {"event_properties": {"source": ["x"], "new_one": 1}},
    ],
    ids=str,
)
def test_drift_is_kept(ingest: Ingest, changes: dict[str, Any]) -> None:
    """Unknown types, versions and fields, missing and odd blocks: 200, in the events topic."""
    kept = Kept(ingest)

    assert ingest.post(json.dumps(sample(**changes))).status_code == 200
    assert len(kept(topics.EVENTS)) == 1
    assert kept(topics.QUARANTINE) == []


@pytest.mark.parametrize(
    ("changes", "pointers"),
    [
        ({"event_id": None}, ["/event_id"]),
        ({"app_id": "", "device_id": "d" * 1025}, ["/app_id", "/device_id"]),
        ({"event_type": []}, ["/event_type"]),
        ({"session_id": "\u00e4" * 513}, ["/session_id"]),
        ({"timestamp": "soon", "timestamp_iso": None}, ["/timestamp"]),
        ({"timestamp": None, "timestamp_iso": "1999-12-31T00:00:00Z"}, ["/timestamp_iso"]),
        ({"timestamp": 1_262_303_999_999}, ["/timestamp"]),
        ({"timestamp": 4_102_444_800_000}, ["/timestamp"]),
        ({"timestamp": 10**30, "timestamp_iso": "later"}, ["/timestamp"]),
    ],
    ids=str,
)
def test_a_required_field_that_is_wrong_is_named(
    ingest: Ingest, changes: dict[str, Any], pointers: list[str]
) -> None:
    """422 names every fault by its JSON pointer; the quarantine has the body verbatim."""
    kept = Kept(ingest)
    body = json.dumps(sample(**changes)).encode()
    answer = ingest.post(body)

    _assert_problem(answer, 422)
    assert [error["pointer"] for error in answer.json()["errors"]] == pointers
    assert kept(topics.EVENTS) == []
    (message,) = kept(topics.QUARANTINE)
    assert body in value_of(message)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null nonsense", b'{"event_type": "\xff"}', json.dumps(sample()).encode()[:-10]],
    ids=["empty", "open", "trailing", "no UTF-8", "truncated"],
)
def test_what_is_not_json_is_quarantined(ingest: Ingest, body: bytes) -> None:
    """400, which Tapcart retries, and the bytes are kept."""
    kept = Kept(ingest)
    answer = ingest.post(body)

    _assert_problem(answer, 400)
    (message,) = kept(topics.QUARANTINE)
    assert body in value_of(message)


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"17", b"[" * 100_000 + b"]" * 100_000])
def test_json_that_is_no_event_is_quarantined(ingest: Ingest, body: bytes) -> None:
    """422: resending would not help."""
    kept = Kept(ingest)

    _assert_problem(ingest.post(body), 422)
    assert len(kept(topics.QUARANTINE)) == 1


@pytest.mark.parametrize("token", ["wrong", TOKEN[:-1], f"{TOKEN}2", "%00"])
def test_an_unknown_token_is_refused(ingest: Ingest, token: str) -> None:
    """401, and nothing is kept."""
    kept = Kept(ingest)

    _assert_problem(ingest.post(json.dumps(sample()), token), 401)
    assert kept(topics.EVENTS) == kept(topics.QUARANTINE) == []


def test_a_bearer_token_is_taken(ingest: Ingest) -> None:
    """The token may be in a header instead of the path; a missing one is 401."""
    body = json.dumps(sample())

    good = ingest.client.post("/tapcart_webhooks", content=body, headers={"authorization": f"Bearer {TOKEN}"})
    assert good.status_code == 200
    _assert_problem(ingest.client.post("/tapcart_webhooks", content=body), 401)


def test_a_bound_token_speaks_for_its_apps_only(ingest: Ingest) -> None:
    """403 for another app's event, valid or not, and nothing is kept."""
    assert ingest.post(json.dumps(sample()), BOUND).status_code == 200
    kept = Kept(ingest)

    _assert_problem(ingest.post(json.dumps(sample(app_id="stranger")), BOUND), 403)
    _assert_problem(ingest.post(json.dumps(sample(app_id="stranger", timestamp=1)), BOUND), 403)
    assert kept(topics.EVENTS) == kept(topics.QUARANTINE) == []


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.ZstdCompressor().compress,
    "gzip, identity": gzip.compress,
    "identity": bytes,
    "none": bytes,
    "utf-8": bytes,
    "": bytes,
}


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_encoded_bodies_are_taken(ingest: Ingest, encoding: str) -> None:
    """200: the same event."""
    kept = Kept(ingest)
    body = ENCODINGS[encoding](json.dumps(sample()).encode())

    assert ingest.post(body, **{"content-encoding": encoding}).status_code == 200
    assert len(kept(topics.EVENTS)) == 1


@pytest.mark.parametrize(
    ("encoding", "status"), [("gzip", 400), ("br", 400), ("zstd", 400), ("gzip, br", 400), ("pack200", 415)]
)
def test_what_cannot_be_decoded_is_kept_verbatim(ingest: Ingest, encoding: str, status: int) -> None:
    """With its encoding and its token's apps: a replay has no more rights."""
    kept = Kept(ingest)
    body = json.dumps(sample()).encode()
    _assert_problem(ingest.post(body, BOUND, **{"content-encoding": encoding}), status)

    assert kept(topics.EVENTS) == []
    (message,) = kept(topics.QUARANTINE)
    row = fields_of(CATALOG.quarantine, value_of(message))
    assert (row["reason"], row["body"]) == ("content_encoding", body)
    assert (row["content_encoding"], row["allowed_app_ids"]) == (encoding, "a7Kq2mXw9L|other")


def test_encodings_in_several_headers_are_one_list(ingest: Ingest) -> None:
    """As HTTP defines."""
    body = brotli.compress(gzip.compress(json.dumps(sample()).encode()))
    headers = [("content-encoding", "gzip"), ("content-encoding", "br")]
    url = f"/tapcart_webhooks/{TOKEN}"

    assert ingest.client.post(url, content=body, headers=headers).status_code == 200


def test_a_byte_order_mark_is_passed_over(ingest: Ingest) -> None:
    """Before JSON; the quarantine has the body verbatim."""
    kept = Kept(ingest)

    assert ingest.post(b"\xef\xbb\xbf" + json.dumps(sample()).encode()).status_code == 200
    _assert_problem(ingest.post(b"\xef\xbb\xbf{"), 400)
    (message,) = kept(topics.QUARANTINE)
    assert b"\xef\xbb\xbf{" in value_of(message)


def test_a_slash_at_the_end_is_the_same_url(ingest: Ingest) -> None:
    """With the token in the path or in a header."""
    body, bearer = json.dumps(sample()), {"authorization": f"Bearer {TOKEN}"}

    assert ingest.post(body, f"{TOKEN}/").status_code == 200
    assert ingest.client.post("/tapcart_webhooks/", content=body, headers=bearer).status_code == 200
    _assert_problem(ingest.client.post("/tapcart_webhooks/", content=body), 401)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_monitor_gets_a_sentence(ingest: Ingest, method: str) -> None:
    """200 for a valid token, also as a header or with a trailing slash; 401 for another one."""
    url, bearer = f"/tapcart_webhooks/{TOKEN}", {"authorization": f"Bearer {TOKEN}"}
    for path, headers in ((url, {}), (f"{url}/", {}), ("/tapcart_webhooks", bearer)):
        answer = ingest.client.request(method, path, headers=headers)
        assert (answer.status_code, bool(answer.text)) == (200, method == "GET")
        assert int(answer.headers["content-length"]) > 50

    assert ingest.client.request(method, f"{url}x").status_code == 401
    assert ingest.client.request(method, "/tapcart_webhooks").status_code == 401


def test_a_post_may_narrow_what_its_token_may_do(ingest: Ingest) -> None:
    """As a replay does; it can never widen them."""
    own = json.dumps(sample(app_id="a7Kq2mXw9L"))

    assert ingest.post(own, **{"tapline-apps": "other|a7Kq2mXw9L"}).status_code == 200
    _assert_problem(ingest.post(own, **{"tapline-apps": "other"}), 403)
    _assert_problem(ingest.post(own, BOUND, **{"tapline-apps": "other"}), 403)
    _assert_problem(ingest.post(json.dumps(sample(app_id="x")), BOUND, **{"tapline-apps": "x"}), 403)


def test_a_wrong_path_is_counted_and_logged_without_a_secret(ingest: Ingest) -> None:
    """A sender with a typo in its URL must not be invisible."""
    name = 'tapline_ingest_requests_total{status="404"}'
    before = ingest.metric(name)
    _assert_problem(ingest.client.post(f"/tapcart_webhook/{TOKEN}", content=b"{}"), 404)
    _assert_problem(ingest.client.delete(f"/tapcart_webhooks/{TOKEN}"), 405)

    assert ingest.metric(name) == before + 1
    assert ingest.metric('tapline_ingest_requests_total{status="405"}') > 0
    assert TOKEN not in ingest.log.read_text()


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b'{"a":"' + b"x" * 2_000_000 + b'"}', {}),
        (gzip.compress(b'{"a":"' + b"x" * 2_000_000 + b'"}'), {"content-encoding": "gzip"}),
    ],
    ids=["plain", "gzip"],
)
def test_a_body_over_the_limit_is_refused(ingest: Ingest, body: bytes, headers: dict[str, str]) -> None:
    """413 before and after decompression, and nothing is kept."""
    kept = Kept(ingest)

    _assert_problem(ingest.post(body, **headers), 413)
    assert kept(topics.EVENTS) == kept(topics.QUARANTINE) == []


def test_the_body_that_grows_most_is_kept(ingest: Ingest, tmp_path: Path) -> None:
    """With the largest possible limit, its record exceeds 4 MiB."""
    large = Ingest(ingest.kafka, tmp_path, {"INGEST_BODY_BYTES_MAX": str(2 * 1024 * 1024)}).start()
    assert eventually(large.direct)
    kept = Kept(ingest)
    answer = large.post(growing(2 * 1024 * 1024))
    large.stop()

    assert answer.json() == {"kept": "kafka"}
    (message,) = kept(topics.EVENTS)
    assert len(value_of(message)) > topics.VALUE_BYTES_MAX


def test_a_rate_that_the_operator_set_is_held(ingest: Ingest, tmp_path: Path) -> None:
    """429 above it, and nothing of that is kept; a second later the token may send again."""
    limited = Ingest(ingest.kafka, tmp_path, {"INGEST_REQUESTS_PER_SECOND_MAX": "5"}).start()
    assert eventually(limited.direct)
    kept = Kept(ingest)
    answers = [limited.post(json.dumps(sample())) for _ in range(40)]

    taken = [answer for answer in answers if answer.status_code == 200]
    assert 5 <= len(taken) < 40
    _assert_problem(next(answer for answer in answers if answer.status_code != 200), 429)
    assert len(kept(topics.EVENTS)) == len(taken)
    assert eventually(lambda: limited.post(json.dumps(sample())).status_code == 200)
    limited.stop()


def test_bodies_in_flight_are_bounded_in_bytes(ingest: Ingest, tmp_path: Path) -> None:
    """500 for a body without room beside incomplete ones; 200 once those are gone."""
    small = Ingest(ingest.kafka, tmp_path, {"INGEST_MEMORY_BYTES_MAX": str(16 * 1024 * 1024)}).start()
    assert eventually(small.direct)
    head = f"POST /tapcart_webhooks/{TOKEN} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n".encode()
    with contextlib.ExitStack() as slow:
        for _ in range(17):
            connection = slow.enter_context(socket.create_connection(("127.0.0.1", small.port)))
            connection.sendall(head + b"x" * 980_000)
        assert eventually(lambda: small.metric("tapline_ingest_memory_bytes") > 16_500_000)
        answer = small.post(json.dumps(sample() | {"more": "x" * 500_000}))

        _assert_problem(answer, 500)
        assert answer.headers["retry-after"] == "1"
        assert "bytes of requests in flight" in answer.json()["detail"]
    assert eventually(lambda: small.metric("tapline_ingest_memory_bytes") == 0)
    assert small.post(json.dumps(sample() | {"more": "x" * 500_000})).status_code == 200
    small.stop()


ADMIN_PAGES = ("/healthz", "/readyz", "/metrics", "/registry/subjects")


@pytest.mark.parametrize("path", ["/", "/nothing", *ADMIN_PAGES])
def test_the_public_port_has_the_webhook_and_nothing_else(ingest: Ingest, path: str) -> None:
    """Exposing the webhook exposes no metrics, state or schemas: 404, with a problem document."""
    _assert_problem(ingest.client.get(path), 404)
    _assert_problem(ingest.client.post(path), 404)


def test_the_admin_port_has_all_but_the_webhook(ingest: Ingest) -> None:
    """Health, metrics and the registry answer there; events are refused."""
    for path in ADMIN_PAGES:
        assert ingest.admin.get(path).status_code == 200, path

    _assert_problem(ingest.admin.post(f"/tapcart_webhooks/{TOKEN}", content=json.dumps(sample())), 404)
    _assert_problem(ingest.admin.post("/metrics"), 405)


@pytest.mark.parametrize(
    "headers",
    [{"host": "rebound.example"}, {"sec-fetch-site": "cross-site"}, {"sec-fetch-site": "same-site"}],
)
def test_the_admin_port_answers_no_other_site(ingest: Ingest, headers: dict[str, str]) -> None:
    """A site's name for 127.0.0.1, or a page that the operator visits: 403, counted."""
    counted = 'tapline_ingest_admin_refused_total{status="403"}'
    before = ingest.metric(counted)
    for path in ADMIN_PAGES:
        _assert_problem(ingest.admin.get(path, headers=headers), 403)

    assert ingest.metric(counted) == before + len(ADMIN_PAGES)
    for host in ("localhost", "localhost:8083", "[::1]:8083"):
        assert ingest.admin.get("/readyz", headers={"host": host}).status_code == 200
    assert ingest.admin.get("/readyz", headers={"sec-fetch-site": "none"}).status_code == 200


def test_other_methods_are_told(ingest: Ingest) -> None:
    """405 names the allowed methods."""
    answer = ingest.client.put("/tapcart_webhooks/secret-of-the-tests")

    _assert_problem(answer, 405)
    assert answer.headers["allow"] == "POST, GET, HEAD"


@pytest.mark.parametrize("variable", ["INGEST_PORT", "INGEST_ADMIN_PORT"])
def test_a_port_in_use_is_told_in_one_sentence(ingest: Ingest, tmp_path: Path, variable: str) -> None:
    """Exit status 2, the setting's name, and no traceback."""
    second = Ingest(ingest.kafka, tmp_path, {variable: str(ingest.port)}).start(wait=False)

    assert second.process.wait(20 * patience()) == 2
    said = second.log.read_text()
    assert f"{variable}: 127.0.0.1:{ingest.port} cannot be bound" in said
    assert "Traceback" not in said


def test_the_log_holds_no_secret_and_no_payload(ingest: Ingest) -> None:
    """After any posts, it has neither the token nor an event's content."""
    ingest.post(b'{"shopper": "Ada Lovelace"')

    log = ingest.log.read_text()
    assert TOKEN not in log
    assert BOUND not in log
    assert "Lovelace" not in log


def test_health_and_metrics_are_served(ingest: Ingest) -> None:
    """The counters add up to the answers."""
    before = ingest.metric("tapline_ingest_requests_total")
    ingest.post(json.dumps(sample()))
    ingest.post(b"{")

    assert ingest.admin.get("/healthz").text == "ok\n"
    assert ingest.admin.get("/readyz").json()["ready"] is True
    assert ingest.metric("tapline_ingest_requests_total") == before + 2


def _assert_problem(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    told = answer.json()
    assert told["status"] == status
    assert told["title"]
    assert told["detail"]
