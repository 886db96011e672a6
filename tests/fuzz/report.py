"""The outcome of a run -> text for the terminal, and a page for RESULTS.md. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.fuzz.attack import Figures
from tests.fuzz.oracle import Process

_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one run."""

    findings: list[str]
    figures: Figures
    before: Mapping[str, Process]
    after: Mapping[str, Process]
    p99: tuple[float, float]  # seconds of ordinary traffic: under ordinary load, under attack
    seconds: float


def text(outcome: Outcome, command: str) -> str:
    """Return the report for a terminal."""
    verdict = "\n".join(["FOUND", *outcome.findings]) if outcome.findings else "passed: nothing was found"
    return "\n".join([verdict, *_lines(outcome), command, ""])


def markdown(outcome: Outcome, command: str) -> str:
    """Return the page."""
    statuses: dict[str, list[str]] = {}
    for (target, status), count in sorted(outcome.figures.statuses.items()):
        statuses.setdefault(target, []).append(f"{count:,} x {status or 'none'}")
    rows = [
        f"| {target} | {count:,} | {', '.join(statuses.get(target, ['produced']))} |"
        for target, count in sorted(outcome.figures.requests.items())
    ]
    verdict = "FOUND" if outcome.findings else "passed: nothing was found"
    return "\n".join(
        [
            "# Results of the fuzzer", "", f"    {command}", "", f"**{verdict}**", "",
            *(f"- {line}" for line in [*outcome.findings, *_lines(outcome)]), "",
            "| target | cases | answers |", "|---|---:|---|", *rows, "",
        ]
    )  # fmt: skip


def _lines(outcome: Outcome) -> list[str]:
    total = outcome.figures.requests.total()
    ms = [round(seconds * 1000) for seconds in outcome.p99]
    healthy = f"{len(outcome.figures.healthy_ids):,}"
    grown = ", ".join(
        f"{name} {then.resident_bytes // _MEBIBYTE} -> {now.resident_bytes // _MEBIBYTE} MiB,"
        f" {then.descriptors} -> {now.descriptors} descriptors"
        for name, then in outcome.before.items()
        for now in [outcome.after[name]]
    )
    return [
        f"{total:,} cases in {outcome.seconds:,.0f} s",
        f"ordinary traffic: p99 {ms[0]} ms beside ordinary load, {ms[1]} ms under attack; {healthy} events",
        f"before and after: {grown}",
    ]
