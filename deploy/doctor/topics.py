"""ingest's admin port -> whether Kafka's topics keep what is acknowledged."""

from collections.abc import Iterator

from consumers.kit.ingest_state import IngestAwayError, ask
from deploy.doctor.finding import Finding, ok, skipped, warning

_CHECK = "topics"


def findings(admin: str) -> Iterator[Finding]:
    """Yield what ingest found of the topics; the address that Tapcart knows does not tell."""
    try:
        (found, *_) = ask([admin])
    except IngestAwayError as error:
        yield skipped(_CHECK, f"not asked: {admin} {error}")
        return
    if found.topic_problems is None:
        yield skipped(_CHECK, "ingest has not compared them: Kafka does not answer it")
        return
    for one in found.topic_problems:
        yield warning(_CHECK, f"{one.topic} {one.words}", "See deploy/runbook.md, TaplineTopics.")
    if not found.topic_problems:
        yield ok(_CHECK, "as they have to be")
