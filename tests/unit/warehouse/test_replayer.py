"""A row of the quarantine, and the answer of ingest or a proxy: placed, stays, or retried."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import fastavro
import pytest

from consumers import replay
from consumers.kit.erasures.follower import NobodyErased
from consumers.kit.errors import TransientError
from consumers.warehouse.load.schema_bindings import SchemaBindings
from consumers.warehouse.repair.replayer import IngestAccess, QuarantineRow, Replayer, RowFailedError
from runtime.environment import SettingsError
from tests.support.warehouse import CATALOG, NOW_MS, value
from tests.support.warehouse import body as event

if TYPE_CHECKING:
    from consumers.warehouse.load.wiring import LoaderParts

KEPT = (200, b'{"kept":"kafka"}')
HTML = b"<html><h1>502 Bad Gateway</h1></html>"


class Ingest:
    """A stand-in for ingest that records the headers it gets."""

    def __init__(self, *answers: tuple[int, bytes]) -> None:
        self.got: list[dict[str, str]] = []
        self._answers = iter(answers)

    @contextmanager
    def replayer(self, tokens: str = "secret-of-the-tests") -> Iterator[Replayer]:
        """Yield the replayer under test."""
        got, answers = self.got, self._answers

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                got.append({name.lower(): text for name, text in self.headers.items()})
                self.rfile.read(int(self.headers["content-length"]))
                status, body = next(answers)
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                """Log nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield Replayer(
                cast("LoaderParts", None),
                IngestAccess.from_env({"INGEST_URL": url, "INGEST_TOKENS": tokens}),
                NobodyErased(),
            )
        finally:
            server.shutdown()
            server.server_close()


def row(**changes: Any) -> QuarantineRow:
    """Return a row rejected by ingest."""
    given = {"body_hash": b"", "body": b"{", "source": "ingest", "reason": "not_json", "record": ""}
    return QuarantineRow(**{**given, "app_id": "shop", "event_id": "one", "received_at_ms": 5, **changes})


def test_what_ingest_keeps_is_placed() -> None:
    """Only if ingest itself answers."""
    with Ingest(KEPT, (200, HTML)).replayer() as replayer:
        assert replayer.put_back(row())
        with pytest.raises(RowFailedError, match="200 not an answer of ingest"):
            replayer.put_back(row())


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 415, 422])
def test_what_is_refused_stays_with_the_answer(status: int) -> None:
    """If ingest wrote it: no text of another server is shown."""
    with Ingest((status, b'{"detail":"it is not JSON"}'), (status, HTML)).replayer() as replayer:
        assert not replayer.put_back(row())
        assert not replayer.put_back(row())

    assert replayer.stays == {f"{status} it is not JSON": 1, f"{status} not an answer of ingest": 1}


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_what_may_be_taken_later_is_tried_again(status: int) -> None:
    """A proxy's page does not end the replay."""
    with Ingest((status, HTML)).replayer() as replayer, pytest.raises(RowFailedError, match=str(status)):
        replayer.put_back(row())


def test_nobody_answers() -> None:
    """No row is to blame."""
    access = IngestAccess.from_env({"INGEST_URL": "http://127.0.0.1:9", "INGEST_TOKENS": "secret-of-a-test"})
    with pytest.raises(TransientError, match="does not answer"):
        Replayer(cast("LoaderParts", None), access, NobodyErased()).put_back(row())


def test_a_row_whose_app_no_token_may_speak_for_stays() -> None:
    """A row without an app is posted with the token for most apps."""
    ingest = Ingest((400, b'{"detail":"it is not JSON"}'), KEPT)
    with ingest.replayer("token-number-one:other,token-number-two:shop|more") as replayer:
        assert not replayer.put_back(row(app_id="nobody's"))
        assert not replayer.put_back(row(app_id=""))
        assert replayer.put_back(row())

    posted = [one["authorization"] for one in ingest.got]
    assert posted == ["Bearer token-number-two", "Bearer token-number-two"]
    assert replayer.stays == {
        "no token of INGEST_TOKENS is bound to its app": 1,
        "400 it is not JSON": 1,
    }


def test_a_row_may_do_no_more_than_its_senders_token() -> None:
    """Any token is used: the request names the apps that the row may be for."""
    ingest = Ingest(KEPT, KEPT, KEPT)
    with ingest.replayer("token-for-every-app,token-of-the-shop:shop") as replayer:
        assert replayer.put_back(row(app_id="", allowed_app_ids="shop|caf\u00e9 & co"))
        assert replayer.put_back(row(app_id="shop", allowed_app_ids="shop"))
        assert replayer.put_back(row(app_id=""))

    assert [one.get("tapline-apps") for one in ingest.got] == ["shop|caf%C3%A9%20%26%20co", "shop", None]


def test_a_body_is_posted_with_the_encoding_that_it_still_has() -> None:
    """Ingest may support it by now; JSON is never encoded, whatever its sender declared."""
    ingest = Ingest(KEPT, KEPT, KEPT)
    with ingest.replayer() as replayer:
        assert replayer.put_back(row(body=b"\x1f\x8b", content_encoding="gzip"))
        assert replayer.put_back(row(body=b"{}", content_encoding="gzip"))
        assert replayer.put_back(row(body=b"\x1f\x8b"))

    assert [one.get("content-encoding") for one in ingest.got] == ["gzip", None, None]


def test_a_body_is_posted_with_the_trace_of_its_sender() -> None:
    """If it is one: anybody may have written to the quarantine's topic."""
    ingest = Ingest(KEPT, KEPT, KEPT)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with ingest.replayer() as replayer:
        assert replayer.put_back(row(traceparent=trace))
        assert replayer.put_back(row(traceparent=f"{trace}\r\nappid: another"))
        assert replayer.put_back(row())

    assert [one.get("traceparent") for one in ingest.got] == [trace, None, None]


def test_without_any_token_it_cannot_be_done() -> None:
    """For any row."""
    with Ingest().replayer("") as replayer, pytest.raises(SettingsError, match="INGEST_TOKENS"):
        replayer.put_back(row())


@pytest.mark.parametrize("name", ["магазин", "a\r\nX-Injected: 1", "\ud83d"])
def test_a_name_that_no_header_can_hold_is_left_out(name: str) -> None:
    """The body has it."""
    ingest = Ingest(KEPT)
    with ingest.replayer() as replayer:
        assert replayer.put_back(row(app_id=name, event_id="one"))

    assert "appid" not in ingest.got[0]
    assert "x-injected" not in ingest.got[0]
    assert ingest.got[0]["eventid"] == "one"


def test_a_consumers_row_without_a_place_stays() -> None:
    """A foreign record in the quarantine topic may hold anything."""
    with Ingest().replayer() as replayer:
        assert not replayer.put_back(row(source="warehouse", reason="refused", record="nowhere"))

    assert replayer.stays == {"its place is not topic/partition/offset": 1}


def test_rows_that_ingest_fails_at_do_not_stop_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """But if it fails for each, the rows are not to blame."""
    monkeypatch.setattr(replay, "_ATTEMPTS_MAX", 2)
    failed = (500, b'{"detail":"a fault of ours"}')
    with Ingest(*[failed] * 4, KEPT, *[failed] * 6).replayer() as replayer:
        put_back = replay._putting_back(replayer)
        placed = [put_back(row()) for _ in range(5)]
        with pytest.raises(RowFailedError, match="a fault of ours"):
            put_back(row())

    assert placed == [False, False, True, False, False]
    assert replayer.stays == {"ingest answers 500 a fault of ours": 4}


def test_a_token_posts_only_for_its_apps() -> None:
    """The app's own, or one for all; without an app the one with most rights."""
    bound = "secret-of-app-one:one,secret-of-app-two:two|three"
    access = IngestAccess.from_env({"INGEST_TOKENS": bound})
    with_all = IngestAccess.from_env({"INGEST_TOKENS": f"{bound},secret-of-everybody"})

    assert [access.secret(app) for app in ("two", "one", "four")] == [
        "secret-of-app-two", "secret-of-app-one", "",
    ]  # fmt: skip
    assert (access.secret(""), with_all.secret("")) == ("secret-of-app-two", "secret-of-everybody")
    assert with_all.secret("four") == "secret-of-everybody"


def test_a_refused_record_is_loaded_at_its_own_place() -> None:
    """With its time of receipt, whether it is ours or another producer's; of a log that may be gone."""
    inserted: list[bytes] = []
    bindings = SchemaBindings(CATALOG)
    warehouse = SimpleNamespace(insert=lambda _form, data: inserted.append(data))
    parts = cast("LoaderParts", SimpleNamespace(bindings=bindings, warehouse=warehouse))
    replayer = Replayer(parts, IngestAccess.from_env({}), NobodyErased())
    given = {"source": "warehouse", "record": "tapcart.events/3/14", "received_at_ms": NOW_MS - 5}
    wrong = row(body=b"\x01", reason="unknown_schema", **given)

    assert replayer.put_back(row(body=value(event(event_id="one")), reason="unknown_schema", **given))
    [loaded] = fastavro.reader(io.BytesIO(inserted[0]))
    assert isinstance(loaded, dict)
    assert (loaded["_log"], loaded["_partition"], loaded["_offset"]) == (0, 3, 14)
    assert loaded["event_id"] == "one"
    assert loaded["_appended_at"].timestamp() * 1000 == NOW_MS - 5
    assert not replayer.put_back(wrong)
    assert not replayer.put_back(row(body=b"", source="warehouse", reason="damaged"))
    assert [reason.partition(":")[0] for reason in replayer.stays] == ["damaged", "damaged"]
    assert len(inserted) == 1
