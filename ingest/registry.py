"""Released schemas -> the read side of the Confluent Schema Registry's API: its clients work unchanged.

Subjects follow TopicRecordNameStrategy: `tapcart.events-AppOpened`. Every answer is of the catalog in use.
Source: Confluent Schema Registry API reference; its error codes are 40401 (subject), 40402 (version), 40403
(schema).
"""

from collections import defaultdict

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from schemas import topics
from schemas.catalog import Catalog, Release
from schemas.current import Current

_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_VERSION_MAX = 2**31 - 1  # Confluent's bound


def subject_of(catalog: Catalog, release: Release) -> str:
    """Return the subject of `release`: its topic and its record name."""
    topic = topics.QUARANTINE if release.name == catalog.quarantine.name else topics.EVENTS
    return f"{topic}-{release.name}"


class Registry:
    """The registry's endpoints over the catalog in use."""

    def __init__(self, current: Current) -> None:
        self._current = current

    @property
    def _subjects(self) -> dict[str, list[Release]]:
        catalog = self._current.catalog
        subjects: dict[str, list[Release]] = defaultdict(list)
        for release in catalog.releases:
            subjects[subject_of(catalog, release)].append(release)
        return subjects

    def routes(self) -> list[Route]:
        """Return the routes, to be mounted under a prefix."""
        return [
            Route("/subjects", self._list_subjects),
            Route("/subjects/{subject}/versions", self._list_versions),
            Route("/subjects/{subject}/versions/{version}", self._get_version),
            Route("/schemas/ids/{wire_id}", self._get_schema),
        ]

    def _list_subjects(self, _request: Request) -> Response:
        return _json(sorted(self._subjects))

    def _list_versions(self, request: Request) -> Response:
        releases = self._subjects.get(request.path_params["subject"])
        if not releases:
            return _error(40401, f"Subject '{request.path_params['subject']}' not found.")
        return _json(list(range(1, len(releases) + 1)))

    def _get_version(self, request: Request) -> Response:
        subject, version = request.path_params["subject"], request.path_params["version"]
        releases = self._subjects.get(subject)
        if not releases:
            return _error(40401, f"Subject '{subject}' not found.")
        if version in ("latest", "-1"):
            number = len(releases)
        elif version.isdecimal() and 0 < int(version) <= _VERSION_MAX:
            number = int(version)
        else:
            return _error(42202, f"The specified version '{version}' is not a valid version id.")
        if number > len(releases):
            return _error(40402, f"Version {number} not found.")
        release = releases[number - 1]
        return _json({"subject": subject, "version": number, "id": release.wire_id, "schema": release.text})

    def _get_schema(self, request: Request) -> Response:
        wire_id = request.path_params["wire_id"]
        release = self._current.catalog.by_wire_id(int(wire_id)) if wire_id.isdecimal() else None
        return _json({"schema": release.text}) if release else _error(40403, f"Schema {wire_id} not found")


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type=_MEDIA_TYPE)


def _error(code: int, message: str) -> Response:
    return _json({"error_code": code, "message": message}, code // 100)
