"""Changes of tokens and schemas that ingest takes up, whoever made them -> the audit trail.

Invariant: no event waits for a note. A note waits until Kafka has it, or ingest ends; the log has it too.
"""

import asyncio
import logging
from collections.abc import Collection, Mapping

from runtime.kafka.audit import AuditError, AuditRecord, write
from runtime.retry import retrying_async
from runtime.tokens import Token

_LOG = logging.getLogger(__name__)

_WAITING_MAX = 100
_REQUEST_SECONDS_MAX = 5.0
_RETRY_SECONDS_MAX = 30.0


class AuditNotes:
    """Notes for one cluster. Create it on the event loop; methods may be called from any thread."""

    def __init__(
        self, kafka: Mapping[str, str], tokens: Collection[Token], schema_ids: Collection[str]
    ) -> None:
        self._kafka = kafka
        self._tokens = {*tokens}
        self._schema_ids = {*schema_ids}
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[AuditRecord] = asyncio.Queue(_WAITING_MAX)

    def tokens(self, tokens: Collection[Token]) -> None:
        """Note that these are the tokens from now on."""
        before, self._tokens = self._tokens, {*tokens}
        added, removed = len(self._tokens - before), len(before - self._tokens)
        self._add("tokens", added + removed, f"ingest takes up {added} new and drops {removed} old ones")

    def schemas(self, schema_ids: Collection[str]) -> None:
        """Note that these are the released schemas from now on."""
        before, self._schema_ids = self._schema_ids, {*schema_ids}
        if added := sorted(self._schema_ids - before):
            self._add("schemas", len(added), f"ingest takes up {', '.join(added)}")

    async def run(self) -> None:
        """Write notes, until cancelled."""
        while True:
            record = await self._waiting.get()
            async for attempt in retrying_async(AuditError, _RETRY_SECONDS_MAX):
                with attempt:
                    await asyncio.to_thread(write, self._kafka, record, _REQUEST_SECONDS_MAX)

    def _add(self, action: str, count: int, detail: str) -> None:
        _LOG.info("change_taken_up", extra={"action": action, "count": count, "detail": detail})
        record = AuditRecord(action=action, count=count, detail=detail)
        self._loop.call_soon_threadsafe(self._put, record)

    def _put(self, record: AuditRecord) -> None:
        if self._waiting.full():
            _LOG.error("audit_note_dropped", extra={"action": record.action, "detail": record.detail})
        else:
            self._waiting.put_nowait(record)
