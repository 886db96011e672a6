"""Rows of the quarantine -> events after all, each by the way that it came; or why it is none yet.

What ingest had refused is posted to ingest, whose rules of today decide; what the loader had refused takes
the loader's own path. Invariants: safe to repeat, for identities make duplicates of what is sent twice; a row
that can't be put back, whatever it holds, stays with a reason and stops no other.
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
from clickhouse_connect.driver.exceptions import ClickHouseError
from pydantic import BaseModel, Field, SecretStr

from consumers.kit.decode import DAMAGED, Refusal
from consumers.kit.errors import TransientError
from consumers.warehouse.clickhouse import connect
from consumers.warehouse.errors import PermanentError
from consumers.warehouse.load.container import Format, container
from consumers.warehouse.load.quarantined_record import Headers, QuarantinedRecord, quarantined_record
from consumers.warehouse.load.wiring import LoaderParts
from consumers.warehouse.tables import PUBLIC, RAW
from runtime import environment
from runtime.environment import SettingsError
from runtime.kafka import topics
from runtime.tokens import APPS_HEADER, Token, parse
from schemas.catalog.wire import checksum

_QUERY_SECONDS_MAX = 300.0
_POST_SECONDS_MAX = 10.0
# What came in a header can go in one: bytes, read as Latin-1, without controls of ASCII.
_HEADER = re.compile(r"[\x20-\x7e\x80-\xff]+")
_PLACED, _LATER = 200, frozenset({408, 425, 429})
_IS_REFUSAL = range(400, 500)


class RowFailedError(TransientError):
    """Ingest, or what stands before it, answers, and does not say whether it ever takes the row."""


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
    allowed_app_ids: str = ""  # that its sender's token was bound to, `|` between them; empty: every app
    content_encoding: str = ""  # that the body still has


class IngestAccess(BaseModel):
    """How to reach ingest; aliases are the environment's."""

    model_config = environment.CONFIG

    port: int = Field(8080, alias="INGEST_PORT", ge=1, le=65535)
    admin_port: int = Field(8083, alias="INGEST_ADMIN_PORT", ge=1, le=65535)
    # When ingest is elsewhere: http://host:port, where to post and where the metrics of each process are.
    url: str = Field("", alias="INGEST_URL")
    admin_urls: environment.BaseUrls = Field((), alias="INGEST_ADMIN_URL")
    tokens: SecretStr = Field(SecretStr(""), alias="INGEST_TOKENS")
    tokens_file: Path | None = Field(None, alias="INGEST_TOKENS_FILE")
    data_dir: Path = Field(Path("data"), alias="DATA_DIR")  # `make run` keeps its token there

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> Self:
        """Return what `env` says. Raises: SettingsError."""
        return environment.read(cls, env)

    def endpoint(self) -> str:
        """Return where to post."""
        return f"{(self.url or f'http://127.0.0.1:{self.port}').rstrip('/')}/tapcart_webhooks"

    def admins(self) -> tuple[str, ...]:
        """Return the admin port of each process."""
        return self.admin_urls or (f"http://127.0.0.1:{self.admin_port}",)

    def secret(self, app_id: str) -> str:
        """Return a token that may speak for `app_id`; if that is empty, one for as many apps as can be.

        "": none may. Raises: SettingsError when there is no token at all.
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
    """The table of what could not be placed. Every method raises: TransientError."""

    def __init__(self, url: str) -> None:
        self._client = connect(url, _QUERY_SECONDS_MAX)

    def rows(self, where: str) -> Iterator[QuarantineRow]:
        """Yield the rows that the condition finds and that were not replayed, the oldest first."""
        sql = f"""
            SELECT sipHash128(body) AS body_hash, hex(body), source, reason, record, app_id, event_id,
                   toUnixTimestamp64Milli(received_at), allowed_app_ids, content_encoding
            FROM {PUBLIC}.quarantine
            WHERE replayed_at IS NULL AND ({where})
            ORDER BY received_at"""  # noqa: S608 - the condition is SQL by intent, its author's own
        try:
            with self._client.query_rows_stream(sql) as stream:
                for body_hash, body, *rest in stream:
                    yield QuarantineRow(_fixed(body_hash), bytes.fromhex(body), *rest)
        except ClickHouseError as error:
            raise TransientError(f"ClickHouse: {str(error)[:500]}") from error

    def mark(self, hashes: Sequence[bytes], now: datetime) -> None:
        """Note that these bodies are events now."""
        try:
            self._client.insert(
                f"{RAW}.quarantine_replays",
                [(body_hash, now) for body_hash in hashes],
                column_names=("body_hash", "replayed_at"),
            )
        except ClickHouseError as error:
            raise TransientError(f"ClickHouse: {str(error)[:500]}") from error


class Replayer:
    """Puts rows back, each by the way that it came. `stays` counts the reasons of those that stay."""

    def __init__(self, parts: LoaderParts, access: IngestAccess) -> None:
        self.stays: Counter[str] = Counter()
        self._parts = parts
        self._access = access
        self._http = urllib3.PoolManager(timeout=_POST_SECONDS_MAX, retries=False)

    def put_back(self, row: QuarantineRow) -> bool:
        """Return whether `row` is an event now. Raises: TransientError, SettingsError."""
        reason = self._post(row) if row.source == "ingest" else self._load(row)
        if reason:
            self.stays[reason] += 1
        return not reason

    def _post(self, row: QuarantineRow) -> str:
        if not (secret := self._access.secret(row.app_id)):
            return "no token of INGEST_TOKENS may speak for its app"
        headers = {"Authorization": f"Bearer {secret}"}
        # A clickstream event says in headers what its body does not; others' are not looked at.
        given = (("appid", row.app_id), ("eventid", row.event_id))
        headers |= {name: value for name, value in given if _HEADER.fullmatch(value)}
        if row.allowed_app_ids:  # the body may speak for no other apps now than its sender's token could
            headers[APPS_HEADER] = "|".join(map(quote, row.allowed_app_ids.split("|")))
        if row.content_encoding and not _is_json(row.body):
            headers["Content-Encoding"] = row.content_encoding
        try:
            answer = self._http.request("POST", self._access.endpoint(), body=row.body, headers=headers)
        except urllib3.exceptions.HTTPError as error:
            raise TransientError(f"ingest does not answer: {error}") from error
        said = _said(answer.data)
        if answer.status == _PLACED and "kept" in said:
            return ""
        detail = f"{answer.status} {said.get('detail', 'not as ingest answers')}"
        if answer.status in _IS_REFUSAL and answer.status not in _LATER:
            return detail
        raise RowFailedError(f"ingest answers {detail}")

    def _load(self, row: QuarantineRow) -> str:
        if row.reason == DAMAGED:
            return "damaged: what it was is not known"
        try:
            checked, record = self._checked(row, ((topics.CRC32, checksum(row.body)),))
        except ValueError:
            return "its place is not given as topic/partition/offset"
        if isinstance(checked, Refusal):  # by our own id; so it is another's, maybe by a registry's
            checked, record = self._checked(row, ())
        if isinstance(checked, Refusal):
            return f"{checked.reason}: {checked.detail}"
        form, body = checked
        try:
            self._parts.warehouse.insert(form, container(form, (body, record.head)))
        except PermanentError as error:
            return f"refused: {error.detail[:200]}"
        return ""

    def _checked(
        self, row: QuarantineRow, headers: Headers
    ) -> tuple[tuple[Format, bytes] | Refusal, QuarantinedRecord]:
        record = quarantined_record(row.record, row.body, row.received_at_ms, row.app_id, headers)
        return self._parts.bindings.check(record.topic(), record), record


def _is_json(body: bytes) -> bool:
    """Return whether a body is not encoded at all, whatever its sender said."""
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return False
    return True


def _said(data: bytes) -> dict[str, Any]:
    """Return the members of an answer; none, if a proxy gave it."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _fixed(value: bytes | str) -> bytes:
    return value if isinstance(value, bytes) else value.encode("latin-1")
