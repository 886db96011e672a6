"""A catalog -> its subjects in Confluent's Schema Registry. Pure.

Invariants: a subject is `<topic>-<record name>` (TopicRecordNameStrategy): `tapcart.events-AppOpened`. Its
versions count from 1 in order of release; nothing is ever deleted. Source: Confluent's documentation of
subject name strategies.
"""

from collections import defaultdict

from schemas.catalog.catalog import Catalog, Release


def subject_of(release: Release) -> str:
    """Return the subject of `release`."""
    return f"{release.topic}-{release.name}"


def subjects(catalog: Catalog) -> dict[str, tuple[Release, ...]]:
    """Return subject -> its versions, starting with version 1; sorted by subject."""
    found: dict[str, tuple[Release, ...]] = defaultdict(tuple)
    for release in catalog.releases:
        found[subject_of(release)] += (release,)
    return dict(sorted(found.items()))
