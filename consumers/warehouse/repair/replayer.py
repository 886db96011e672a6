"""Quarantined rows -> events, each by its original path; or the reason why a row stays.

Rows rejected by ingest are posted to ingest and checked by today's rules; rows rejected by the loader are
loaded as the loader does. Invariants: repeating is safe, because identities deduplicate rows sent twice; a
row that fails, whatever it holds, stays with a reason and does not stop the others.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import urllib3
from pydantic import BaseModel, Field, SecretStr

from consumers.kit.decode import DAMAGED, Refusal
from consumers.kit.erasures.follower import Erasures
from consumers.kit.errors import TransientError
from consumers.warehouse.clickhouse import connect, querying
from consumers.warehouse.errors import PermanentError
from consumers.warehouse.load.container import Format, container
from consumers.warehouse.load.quarantined_record import Headers, QuarantinedRecord, quarantined_record
from consumers.warehouse.load.wiring import LoaderParts
from consumers.warehouse.tables import PUBLIC, RAW
from runtime import environment
from runtime.environment import SettingsError
from runtime.kafka import record_headers, topics
from runtime.tokens import APPS_HEADER, Token, parse
from schemas.catalog.wire import checksum

_QUERY_SECONDS_MAX = 300.0
_POST_SECONDS_MAX = 10.0
# Bytes that a header may have, read as Latin-1: no ASCII control characters.
_HEADER = re.compile(r"[\x20-\x7e\x80-\xff]+")
_PLACED, _LATER = 200, frozenset({408, 425, 429})
_IS_REFUSAL = range(400, 500)


class RowFailedError(TransientError):
    """Ingest, or a proxy before it, answers without accepting or rejecting the row."""


@dataclass(frozen=True, slots=True)
class QuarantineRow:
    """One row of the quarantine."""

    body_hash: bytes
    body: bytes
    source: str  # "ingest", or the consumer that refused a Kafka value
    reason: str
    record: str  # topic/partition/offset, of the loader's rows
    app_id: str
    event_id: str
    received_at_ms: int
    allowed_app_ids: str = ""  # apps that its sender's token was bound to, separated by `|`; empty: every app
    content_encoding: str = ""  # encoding that the body still has
    traceparent: str = ""  # the trace that its sender named


class IngestAccess(BaseModel):
    """The addresses and tokens of ingest; aliases are the names of environment variables."""

    model_config = environment.CONFIG

    port: int = Field(8080, alias="INGEST_PORT", ge=1, le=65535)
    admin_port: int = Field(8083, alias="INGEST_ADMIN_PORT", ge=1, le=65535)
    url: str = Field(
        "",
        alias="INGEST_URL",
        description="Where `make replay` posts. Default: `http://127.0.0.1:INGEST_PORT`.",
    )
    admin_urls: environment.BaseUrls = Field(
        (),
        alias="INGEST_ADMIN_URL",
        description=(
            "Admin ports of all ingest processes, comma separated. A name with several addresses "
            "stands for as many processes. Default: `http://127.0.0.1:INGEST_ADMIN_PORT`. `none` for "
            "a consumer of the kit that cannot reach them."
        ),
    )
    tokens: SecretStr = Field(SecretStr(""), alias="INGEST_TOKENS")
    tokens_file: Path | None = Field(None, alias="INGEST_TOKENS_FILE")
    data_dir: Path = Field(Path("data"), alias="DATA_DIR")  # `make run` keeps its token there

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Return the settings in `env`. Raises: SettingsError."""
        return environment.read(cls, env)

    def endpoint(self) -> str:
        """Return the URL to post to."""
        return f"{(self.url or f'http://127.0.0.1:{self.port}').rstrip('/')}/tapcart_webhooks"

    def admins(self) -> tuple[str, ...]:
        """Return the admin port of each process."""
        return self.admin_urls or (f"http://127.0.0.1:{self.admin_port}",)

    def secret(self, app_id: str) -> str:
        """Return a token that may post for `app_id`; if that is empty, the token with most apps.

        "": there is none. Raises: SettingsError if there are no tokens at all.
        """
        known = sorted(self._known(), key=lambda token: (bool(token.app_ids), -len(token.app_ids)))
        return next((token.secret for token in known if not app_id or token.admits(app_id)), "")

    def _known(self) -> tuple[Token, ...]:
        given, file = self.tokens.get_secret_value(), self.tokens_file or self.data_dir / "token"
        try:
            return parse(given or file.read_text())
        except OSError as error:
            raise SettingsError(f"INGEST_TOKENS_FILE: {file}: {error.strerror}") from error
        except ValueError as error:
            raise SettingsError(f"{'INGEST_TOKENS' if given else file}: {error}") from error


class QuarantineTable:
    """The quarantine table. Every method raises: TransientError."""

    def __init__(self, url: str) -> None:
        with querying():
            self._client = connect(url, _QUERY_SECONDS_MAX)

    def rows(self, where: str) -> Iterator[QuarantineRow]:
        """Yield the matching rows that were not replayed, oldest first."""
        # A folder of schemas may be older than this code; then the table has no such column.
        has_trace = "SELECT count() FROM system.columns WHERE name = 'traceparent' AND table = 'quarantine'"
        with querying():
            ((found,),) = self._client.query(f"{has_trace} AND database = '{PUBLIC}'").result_rows
        trace = "traceparent" if found else "''"
        sql = f"""
            SELECT sipHash128(body) AS body_hash, hex(body), source, reason, record, app_id, event_id,
                   toUnixTimestamp64Milli(received_at), allowed_app_ids, content_encoding,
                   {trace}
            FROM {PUBLIC}.quarantine
            WHERE replayed_at IS NULL AND ({where})
            ORDER BY received_at"""  # noqa: S608 - the condition is deliberately the operator's SQL
        with querying(), self._client.query_rows_stream(sql) as stream:
            for body_hash, body, *rest in stream:
                yield QuarantineRow(_fixed(body_hash), bytes.fromhex(body), *rest)

    def mark(self, hashes: Sequence[bytes], now: datetime) -> None:
        """Mark these bodies as replayed."""
        with querying():
            self._client.insert(
                f"{RAW}.quarantine_replays",
                [(body_hash, now) for body_hash in hashes],
                column_names=("body_hash", "replayed_at"),
            )


class Replayer:
    """Replays rows, each by its original path. `stays` counts the reasons of rows that stay."""

    def __init__(self, parts: LoaderParts, access: IngestAccess, erasures: Erasures) -> None:
        self.stays: Counter[str] = Counter()
        self._parts = parts
        self._access = access
        self._erasures = erasures
        self._http = urllib3.PoolManager(timeout=_POST_SECONDS_MAX, retries=False)

    def put_back(self, row: QuarantineRow) -> bool:
        """Replay `row`; return whether it is an event now. Raises: TransientError, SettingsError."""
        if self._erasures.current().stops_body(row.body, row.received_at_ms, row.app_id):
            reason = "of somebody erased"
        else:
            reason = self._post(row) if row.source == "ingest" else self._load(row)
        if reason:
            self.stays[reason] += 1
        return not reason

    def _post(self, row: QuarantineRow) -> str:
        if not (secret := self._access.secret(row.app_id)):
            return "no token of INGEST_TOKENS is bound to its app"
        headers = {"Authorization": f"Bearer {secret}"}
        # A clickstream event has some fields only in headers; other events ignore them.
        given = (("appid", row.app_id), ("eventid", row.event_id))
        headers |= {name: value for name, value in given if _HEADER.fullmatch(value)}
        if row.allowed_app_ids:  # restrict the body to the apps that its sender's token allowed
            headers[APPS_HEADER] = "|".join(map(quote, row.allowed_app_ids.split("|")))
        if record_headers.sound_traceparent(row.traceparent.encode()):
            headers[record_headers.TRACEPARENT] = row.traceparent
        if row.content_encoding and not _is_json(row.body):
            headers["Content-Encoding"] = row.content_encoding
        try:
            answer = self._http.request("POST", self._access.endpoint(), body=row.body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise TransientError(f"ingest does not answer: {error}") from error
        said = _said(answer.data)
        if answer.status == _PLACED and "kept" in said:
            return ""
        detail = f"{answer.status} {said.get('detail', 'not an answer of ingest')}"
        if answer.status in _IS_REFUSAL and answer.status not in _LATER:
            return detail
        raise RowFailedError(f"ingest answers {detail}")

    def _load(self, row: QuarantineRow) -> str:
        if row.reason == DAMAGED:
            return "damaged: its original value is unknown"
        try:
            checked, record = self._checked(row, ((record_headers.CRC32, checksum(row.body)),))
        except ValueError:
            return "its place is not topic/partition/offset"
        if isinstance(checked, Refusal):  # maybe another producer's, with a registry's id
            checked, record = self._checked(row, ())
        if isinstance(checked, Refusal):
            return f"{checked.reason}: {checked.detail}"
        form, body = checked
        try:
            # The place is of the log from which the loader rejected it, which may be another by now.
            self._parts.warehouse.insert(form, container(form, (body, record.head(topics.UNKNOWN_LOG))))
        except PermanentError as error:
            return f"refused: {error.detail[:200]}"
        return ""

    def _checked(
        self, row: QuarantineRow, headers: Headers
    ) -> tuple[tuple[Format, bytes] | Refusal, QuarantinedRecord]:
        record = quarantined_record(row.record, row.body, row.received_at_ms, row.app_id, headers)
        return self._parts.bindings.check(record.topic(), record), record


def _is_json(body: bytes) -> bool:
    """Return whether a body is plain JSON, whatever its sender declared."""
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def _said(data: bytes) -> dict[str, Any]:
    """Parse the members of an answer; empty if a proxy answered."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _fixed(value: bytes | str) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")
