"""Ids of acknowledged probes -> whether they reach ClickHouse through the whole pipeline."""

import time
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx

from deploy.demo.results import QueryClient, QueryError
from deploy.doctor.finding import Finding, fault, ok, skipped, warning
from runtime import probe

_POLL_SECONDS = 0.2


def arrived(login: str, event_ids: Sequence[str], seconds_max: float, *, spooled: bool) -> Finding:
    """Wait until the quarantine table has all probes, for at most `seconds_max`."""
    where = urlsplit(login).netloc.rpartition("@")[2]
    clickhouse = QueryClient(login)
    began = time.monotonic()
    try:
        while (found := _found(clickhouse, event_ids)) < len(event_ids):
            if time.monotonic() - began > seconds_max:
                return _missing(found, len(event_ids), seconds_max, spooled=spooled)
            time.sleep(_POLL_SECONDS)
    except httpx.HTTPError:
        remedy = "Set CLICKHOUSE_URL to where this machine reaches it, or pass --no-clickhouse."
        return fault("ClickHouse", f"{where} does not answer", remedy)
    except QueryError as error:
        remedy = (
            "The loader creates the tables at startup: check that it runs and that the login may read them."
        )
        return fault("ClickHouse", f"{where}: {str(error)[:200]}", remedy)
    finally:
        clickhouse.close()
    return ok("ClickHouse", f"all {found} probes arrived, {time.monotonic() - began:.1f} s later")


def not_asked() -> Finding:
    """Return that ClickHouse was not checked."""
    return skipped("ClickHouse", "not checked (--no-clickhouse)")


def _missing(found: int, posted: int, seconds: float, *, spooled: bool) -> Finding:
    text = f"{found} of {posted} probes arrived within {seconds:.0f} s"
    if spooled:
        return warning("ClickHouse", text, "They are in the spool until Kafka is back.")
    remedy = (
        "They are safe in Kafka. Is this the ClickHouse of that ingest? See deploy/runbook.md, TaplineLate."
    )
    return fault("ClickHouse", text, remedy)


def _found(clickhouse: QueryClient, event_ids: Sequence[str]) -> int:
    ids = ", ".join(f"'{event_id}'" for event_id in event_ids)
    sql = (
        "SELECT uniqExact(event_id) FROM tapcart_raw.quarantine "  # noqa: S608 - our own ids
        f"WHERE reason = '{probe.REASON}' AND event_id IN ({ids})"
    )
    return int(clickhouse.ask(sql))
