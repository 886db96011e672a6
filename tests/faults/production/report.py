"""Outcome -> a section for RESULTS.md."""

import os
from datetime import UTC, datetime

from tests.faults.production.run import Options, Outcome

_PARTS = """\
Posts went by HTTPS through Caddy to two ingests, to three brokers with SASL_SSL, SCRAM and the rights of
deploy/security, and by two loaders to ClickHouse behind TLS. Each had one event and was sent once. An
answer's time counts from when its post was due."""


def markdown(options: Options, outcome: Outcome) -> str:
    """Return the section."""
    figures, seconds = outcome.figures, outcome.seconds
    flow = seconds.get("flow", 0.1)
    memory_gib = round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)
    p50, p99, slowest = (figures.percentile(share) for share in (0.5, 0.99, 1.0))
    rows = [
        ("posts; of these answered 200", f"{figures.requests:,}; {figures.acknowledged:,}"),
        ("seconds; posts a second", f"{flow:,.0f}; {figures.requests / flow:,.0f}"),
        ("answers within: half; 99%; all", f"{p50} ms; {p99} ms; {slowest:,} ms"),
        ("cores busy meanwhile", f"{outcome.busy_percent:.0f}%"),
        ("seconds for the backup, while events flowed", f"{seconds.get('backup', 0.0):.0f}"),
        ("seconds for the restore", f"{seconds.get('restore', 0.0):.0f}"),
        ("rows in the backup", f"{outcome.rows_restored:,}"),
        ("rows after the replay from the backup's moment", f"{outcome.rows:,}"),
        ("seconds of that replay", f"{seconds.get('replay', 0.0):.0f}"),
    ]
    arguments = f"--rate {options.rate:g} --minutes {options.minutes:g} --seed {options.seed}"
    lines = [
        "# Results of the production run",
        "",
        f'    make faults-production ARGS="{arguments}"',
        "",
        f"On {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores, {memory_gib} GiB: **{_verdict(outcome)}**",
        *(f"- {complaint}" for complaint in outcome.complaints),
        "",
        _PARTS,
        "",
        "| | |",
        "|---|---:|",
        *(f"| {name} | {value} |" for name, value in rows),
        "",
        "| restarted | seconds until it was as before | posts meanwhile | slowest answer, ms |",
        "|---|---:|---:|---:|",
        *(
            f"| {one.name} | {one.seconds:.1f} | {one.posts:,} | {one.slowest_ms:,} |"
            for one in outcome.restarts
        ),
    ]
    return "\n".join(lines)


def _verdict(outcome: Outcome) -> str:
    kept = "passed: nothing refused, lost or doubled, in the running system and in the restored one."
    return "FAILED" if outcome.complaints else kept
