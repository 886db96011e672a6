"""ingest's admin port -> whether Kafka's topics keep acknowledged events."""

from collections.abc import Iterator

from consumers.kit.ingest_state import IngestAwayError, ask
from deploy.doctor.finding import Finding, ok, skipped, warning

_CHECK = "topics"


def findings(admin: str) -> Iterator[Finding]:
    """Yield ingest's findings on the topics; the public address does not expose them."""
    try:
        (found, *_) = ask([admin])
    except IngestAwayError as error:
        yield skipped(_CHECK, f"not checked: {admin} {error}")
        return
    if found.kafka_problem:
        yield warning(_CHECK, found.kafka_problem, "Events wait in the spool until then.")
        return
    if found.topic_problems is None:
        yield skipped(_CHECK, "ingest could not check them: Kafka does not answer")
        return
    for one in found.topic_problems:
        yield warning(_CHECK, f"{one.topic} {one.words}", "See deploy/runbook.md, TaplineTopics.")
    if not found.topic_problems:
        yield ok(_CHECK, "configured correctly")
