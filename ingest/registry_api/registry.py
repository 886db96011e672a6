"""Released schemas -> the read side of the Confluent Schema Registry's API, for its unmodified clients.

Invariants: every answer is from the catalog in use, with the ids that are in Kafka: with SCHEMA_REGISTRY_URL
those of that registry. Nothing can be changed or deleted, so `deleted=true` finds nothing more. Access is
open, because the schemas are no secret; the work per request is bounded. Source: Confluent Schema Registry's
API reference and resources.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ingest.http import body
from ingest.http.memory import Memory
from ingest.registry_api import registry_queries
from ingest.registry_api.registry_queries import RegistryError
from schemas.catalog.catalog import Catalog, Release
from schemas.catalog.schema_reloader import SchemaReloader
from schemas.catalog.subjects import subject_of, subjects

_MEDIA_TYPE = "application/vnd.schemaregistry.v1+json"
_BODY_BYTES_MAX = 256 * 1024  # our longest schema has 28 KB
_POSTS_MAX = 16  # in flight

_T = TypeVar("_T")
_Endpoint = Callable[[Request], Awaitable[object]]


class RegistryApi:
    """The registry's endpoints over the catalog in use."""

    def __init__(self, reloader: SchemaReloader) -> None:
        self._reloader = reloader
        self._posts = 0

    def app(self) -> Starlette:
        """Build the application, to be mounted under a prefix."""
        subject, version = "/subjects/{subject}", "/subjects/{subject}/versions/{version}"
        reads: dict[str, _Endpoint] = {
            "/": _root,
            "/contexts": _contexts,
            "/schemas": self._schemas,
            "/schemas/types": _types,
            "/schemas/ids/{id}": self._by_id,
            "/schemas/ids/{id}/schema": self._text_by_id,
            "/schemas/ids/{id}/subjects": self._subjects_by_id,
            "/schemas/ids/{id}/versions": self._versions_by_id,
            "/subjects": self._subjects,
            f"{subject}/versions": self._versions,
            version: self._version,
            f"{version}/schema": self._text,
            f"{version}/referencedby": self._referenced_by,
            "/config": _config,
            "/config/{subject}": self._config_of,
            "/mode": _mode,
            "/mode/{subject}": self._mode_of,
        }
        posts: dict[str, _Endpoint] = {
            subject: self._look_up,
            f"{subject}/versions": self._register,
            f"/compatibility{subject}/versions": self._compatible,
            f"/compatibility{version}": self._compatible,
        }
        refused = [subject, version, "/config", "/config/{subject}", "/mode", "/mode/{subject}"]
        return Starlette(
            routes=[
                *(Route(path, _answering(endpoint), methods=["GET"]) for path, endpoint in reads.items()),
                *(Route(path, _answering(endpoint), methods=["POST"]) for path, endpoint in posts.items()),
                *(Route(path, _answering(_refuse), methods=["PUT", "DELETE"]) for path in refused),
            ],
            exception_handlers={RegistryError: _registry_error, HTTPException: _http_error},
        )

    @property
    def _catalog(self) -> Catalog:
        return self._reloader.catalog.as_registered

    async def _subjects(self, request: Request) -> object:
        prefix = _prefix(request)
        return _page(request, [name for name in subjects(self._catalog) if name.startswith(prefix)])

    async def _schemas(self, request: Request) -> object:
        prefix, newest = _prefix(request), _flag(request, "latestOnly")
        found = [
            (name, number, release)
            for name, releases in subjects(self._catalog).items()
            for number, release in enumerate(releases, 1)
            if name.startswith(prefix) and (not newest or number == len(releases))
        ]
        return [_described(*one) for one in _page(request, found)]

    async def _versions(self, request: Request) -> object:
        found = registry_queries.versions(self._catalog, request.path_params["subject"])
        return _page(request, list(range(1, len(found) + 1)))

    async def _version(self, request: Request) -> object:
        subject, number, release = self._asked(request)
        return _described(subject, number, release)

    async def _text(self, request: Request) -> object:
        _, _, release = self._asked(request)
        return msgspec.Raw(release.text.encode())

    async def _referenced_by(self, request: Request) -> object:
        self._asked(request)
        return []

    async def _by_id(self, request: Request) -> object:
        answer: dict[str, object] = {"schema": self._with_id(request).text}
        if _flag(request, "fetchMaxId"):
            answer["maxId"] = max(release.wire_id for release in self._catalog.releases)
        return answer

    async def _text_by_id(self, request: Request) -> object:
        return msgspec.Raw(self._with_id(request).text.encode())

    async def _subjects_by_id(self, request: Request) -> object:
        return [subject_of(self._with_id(request))]

    async def _versions_by_id(self, request: Request) -> object:
        release, catalog = self._with_id(request), self._catalog
        subject = subject_of(release)
        if request.query_params.get("subject", subject) != subject:
            return []
        return [{"subject": subject, "version": subjects(catalog)[subject].index(release) + 1}]

    async def _config_of(self, request: Request) -> object:
        self._check_configured(request, 40408, "compatibility")
        return await _config(request)

    async def _mode_of(self, request: Request) -> object:
        self._check_configured(request, 40409, "mode")
        return await _mode(request)

    async def _look_up(self, request: Request) -> object:
        subject = request.path_params["subject"]
        schema = await self._on_posted(request, registry_queries.posted_schema)
        return _described(
            subject, *registry_queries.same(registry_queries.versions(self._catalog, subject), schema)
        )

    async def _register(self, request: Request) -> object:
        # As with Confluent's, an existing schema may be registered again in any mode: nothing changes.
        subject = request.path_params["subject"]
        schema = await self._on_posted(request, registry_queries.posted_schema)
        try:
            _, release = registry_queries.same(subjects(self._catalog).get(subject, ()), schema)
        except RegistryError:
            raise registry_queries.read_only(subject) from None
        return {"id": release.wire_id}

    async def _compatible(self, request: Request) -> object:
        subject, is_verbose = request.path_params["subject"], _flag(request, "verbose")
        # BACKWARD: without a version, the new schema must be able to read the newest one.
        older = registry_queries.readable(
            self._catalog, subject, request.path_params.get("version", "latest")
        )

        try:
            found = await self._on_posted(
                request, lambda data: registry_queries.problems(older, registry_queries.posted_schema(data))
            )
        except RegistryError as error:
            if not is_verbose or error.code != registry_queries.INVALID_SCHEMA:
                raise
            found = [error.message]
        return {"is_compatible": not found} | ({"messages": found} if is_verbose else {})

    async def _on_posted(self, request: Request, call: Callable[[bytes], _T]) -> _T:
        """Run `call` on the body in a thread and return its result. Raises: RegistryError."""
        if self._posts >= _POSTS_MAX:
            raise RegistryError(42901, f"{_POSTS_MAX} schemas are already being checked: retry")
        self._posts += 1
        try:
            data = await body.read(request.receive, _BODY_BYTES_MAX, Memory(_BODY_BYTES_MAX))
            return await asyncio.to_thread(call, data)
        except body.BodyTooLargeError:
            raise RegistryError(413, f"The body is over {_BODY_BYTES_MAX} bytes") from None
        except ClientDisconnect:
            raise RegistryError(400, "The body did not arrive") from None
        finally:
            self._posts -= 1

    def _asked(self, request: Request) -> tuple[str, int, Release]:
        subject = request.path_params["subject"]
        return subject, *registry_queries.version(self._catalog, subject, request.path_params["version"])

    def _with_id(self, request: Request) -> Release:
        return registry_queries.with_id(self._catalog, request.path_params["id"])

    def _check_configured(self, request: Request, code: int, what: str) -> None:
        subject = request.path_params["subject"]
        if subject not in subjects(self._catalog) and not _flag(request, "defaultToGlobal"):
            raise RegistryError(code, f"Subject '{subject}' does not have subject-level {what} configured")


async def _root(_request: Request) -> object:
    return {}


async def _contexts(_request: Request) -> object:
    return ["."]


async def _types(_request: Request) -> object:
    return ["AVRO"]


async def _config(_request: Request) -> object:
    return {"compatibilityLevel": "BACKWARD"}  # as enforced by `schemas check`


async def _mode(_request: Request) -> object:
    return {"mode": "READONLY"}


async def _refuse(request: Request) -> object:
    raise registry_queries.read_only(request.path_params.get("subject"))


def _described(subject: str, number: int, release: Release) -> dict[str, object]:
    return {"subject": subject, "version": number, "id": release.wire_id, "schema": release.text}


def _prefix(request: Request) -> str:
    """Return the subject prefix, without the context before it: there is only one."""
    return re.sub(r"^:[.*]?:", "", request.query_params.get("subjectPrefix", ""))


def _page(request: Request, found: list[_T]) -> list[_T]:
    given = [request.query_params.get(name, "") for name in ("offset", "limit")]
    offset, limit = [int(text) if re.fullmatch("[0-9]{1,9}", text) else 0 for text in given]
    return [] if _flag(request, "deletedOnly") else found[offset:][: limit or None]


def _flag(request: Request, name: str) -> bool:
    return request.query_params.get(name, "").lower() == "true"


def _answering(endpoint: _Endpoint) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        return _json(await endpoint(request))

    return answer


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type=_MEDIA_TYPE)


async def _registry_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, RegistryError):
        raise error
    return _json({"error_code": error.code, "message": error.message}, error.status)


async def _http_error(_request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    problem = {"error_code": error.status_code, "message": f"HTTP {error.status_code} {error.detail}"}
    return _json(problem, error.status_code)
