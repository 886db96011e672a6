"""Answers, logs and processes -> the effects that no input may have.

Source: the table of answers in README; ClickHouse's HTTP interface answers errors with a code in
`X-ClickHouse-Exception-Code`.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

_WEBHOOK = frozenset({0, 100, 200, 400, 401, 403, 404, 405, 408, 413, 414, 415, 417, 422, 431})
# Text of a file outside the data folder; the secret of the webhook's URL.
TOKEN = "fuzz-token-0123456789"  # noqa: S105 - of a stack that nobody else reaches
_LEAKS = (b"root:x:0:0", TOKEN.encode())
_TRACEBACK = re.compile(r"Traceback \(most recent call last\)|\"exc_info\"")
_GROWTH_BYTES = {"ingest": 120, "warehouse": 250, "live": 120, "clickhouse": 1200}  # MiB above the baseline
_GROWTH_DESCRIPTORS = {"ingest": 30, "warehouse": 30, "live": 30, "clickhouse": 400}
_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer; status 0: the connection was closed without one."""

    status: int
    head: bytes  # lower case
    body: bytes

    @classmethod
    def parse(cls, raw: bytes) -> "Answer":
        """Return the first final answer in `raw`."""
        while raw.startswith(b"HTTP/1.1 1"):
            raw = raw.partition(b"\r\n\r\n")[2]
        head, _, body = raw.partition(b"\r\n\r\n")
        found = re.match(rb"HTTP/1\.[01] (\d{3})", head)
        return cls(int(found[1]) if found else 0, head.lower(), body)


Judge = Callable[[Answer], str]  # a finding, or ""


def webhook(answer: Answer) -> str:
    """Return the fault in an answer of ingest."""
    if answer.status not in _WEBHOOK:
        return f"answered {answer.status}: {answer.body[:200]!r}"
    return _leak(answer)


def sql_port(answer: Answer) -> str:
    """Return the fault in an answer of ClickHouse's port."""
    if answer.status >= 500 and b"\r\nx-clickhouse-exception-code:" not in answer.head:
        return f"answered {answer.status} without a code: {answer.body[:200]!r}"
    return _leak(answer)


def api(answer: Answer) -> str:
    """Return the fault in an answer of the registry or the live page."""
    if answer.status >= 500 and answer.status != 503:
        return f"answered {answer.status}: {answer.body[:200]!r}"
    return _leak(answer)


def _leak(answer: Answer) -> str:
    leaked = [text for text in _LEAKS if text in answer.body]
    if b"Traceback (most recent" in answer.body:
        return f"shows a traceback: {answer.body[:200]!r}"
    return f"shows what it must not: {leaked}" if leaked else ""


@dataclass(frozen=True, slots=True)
class Process:
    """One process of the stack, at one moment."""

    pid: int
    resident_bytes: int
    descriptors: int


def processes(run_dir: Path) -> Mapping[str, Process]:
    """Return our processes by name."""
    found = {}
    for name in _GROWTH_BYTES:
        process = psutil.Process(int((run_dir / f"{name}.pid").read_text()))
        found[name] = Process(process.pid, process.memory_info().rss, process.num_fds())
    return found


def changes(before: Mapping[str, Process], after: Mapping[str, Process]) -> Iterator[str]:
    """Yield the lasting changes of the processes."""
    for name, now in after.items():
        then = before[name]
        if now.pid != then.pid:
            yield f"{name} was started again"
        elif (grown := now.resident_bytes - then.resident_bytes) > _GROWTH_BYTES[name] * _MEBIBYTE:
            yield f"{name} holds {grown // _MEBIBYTE} MiB more than before"
        if (more := now.descriptors - then.descriptors) > _GROWTH_DESCRIPTORS[name]:
            yield f"{name} holds {more} descriptors more than before"


def tracebacks(log_dir: Path) -> Iterator[str]:
    """Yield the logs of our processes that hold a traceback, with its lines."""
    for path in sorted(log_dir.glob("*.log")):
        if path.stem == "kafka":
            continue
        text = path.read_text(errors="replace")
        if found := _TRACEBACK.search(text):
            yield f"{path.name} holds a traceback: {text[found.start() : found.start() + 1500]}"
