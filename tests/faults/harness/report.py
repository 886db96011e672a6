"""Outcome -> text for the terminal, and a page for RESULTS.md."""

import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version

from deploy.local.kafka import VERSION
from tests.faults.harness.run import Options, Outcome


def text(options: Options, outcome: Outcome, command: str) -> str:
    """Return the report for the terminal."""
    faults = ", ".join(f"{count} {name}" for name, (count, _) in sorted(outcome.faults.items()))
    lines = [*_figures(outcome), f"faults: {faults}"]
    return "\n".join([f"seed {options.seed}: {_verdict(outcome)}", *(f"  {line}" for line in lines), command])


def markdown(options: Options, outcome: Outcome, command: str) -> str:
    """Return a page."""
    made = datetime.now(UTC).strftime("%Y-%m-%d")
    machine = f"{os.cpu_count()} cores, {_memory_gib()} GiB, {platform.system()} {platform.machine()}"
    versions = f"Python {platform.python_version()}, Kafka {VERSION}, chDB {version('chdb')}"
    brokers = "three brokers, min.insync.replicas=2" if options.cluster else "one broker"
    lines = [
        "# Results of the faults harness",
        "",
        f"Written by the harness on {made}. {machine}; {versions}; {brokers}.",
        "",
        f"    {command}",
        "",
        f"**{_verdict(outcome)}**",
        "",
        *(f"- {line}" for line in _figures(outcome)),
        "",
        "| fault | times | seconds in all |",
        "|---|---:|---:|",
        *(
            f"| {name} | {count} | {seconds:.0f} |"
            for name, (count, seconds) in sorted(outcome.faults.items())
        ),
        "",
    ]
    return "\n".join(lines)


def _verdict(outcome: Outcome) -> str:
    if not outcome.complaints:
        return "passed: nothing lost, doubled, invented or changed"
    return "FAILED\n" + "\n".join(f"  - {complaint}" for complaint in outcome.complaints)


def _figures(outcome: Outcome) -> list[str]:
    figures, seconds = outcome.figures, outcome.seconds
    faults = sum(count for count, _ in outcome.faults.values())
    rate = (figures.acknowledged + figures.quarantined) / max(seconds.get("faults", 0.0), 0.1)
    shares = ((0.5, "half"), (0.99, "99%"), (1.0, "all"))
    within = ", ".join(f"{figures.percentile(share)} ms ({name})" for share, name in shares)
    ended = f"{figures.acknowledged:,} events acknowledged with 200, {figures.quarantined:,} bodies refused"
    return [
        f"{ended} with 400 or 422",
        f"{figures.requests:,} requests, {figures.sent_twice:,} sent twice, {figures.gave_up:,} given up",
        f"{figures.foreign:,} records of foreign producers, sound and damaged",
        f"{faults:,} faults in {seconds.get('faults', 0.0):,.0f} s, {rate:,.0f} events/s meanwhile",
        f"answers 200 within {within}",
        *([f"caught up {seconds['catch up']:,.0f} s after the last fault"] if "catch up" in seconds else []),
        f"an event could be queried {seconds.get('fresh', 0.0):.2f} s after that",
        f"judged in {seconds.get('judge', 0.0):,.0f} s",
        *outcome.notes,
    ]


def _memory_gib() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
