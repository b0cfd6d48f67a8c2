"""Carries out declared operations: checks the request, calls the handler, makes the answer."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler, route
from msgspec import Struct

from application.actor import Actor
from application.paging import Page
from domain.entity import is_id
from domain.errors import Invalid, NotFound, VersionConflict, Violation
from entrypoints.http.protocol.answers import NO_STORE, Answer, Views, Volatile, encoded
from entrypoints.http.protocol.cursors import Pages
from entrypoints.http.protocol.input import (
    JSON_TYPE,
    MERGE_PATCH_TYPE,
    body_reader,
    query_reader,
    read_body,
    require_media_type,
)
from entrypoints.http.protocol.operation import Controller, Operation, operations_of
from entrypoints.http.protocol.problems import MethodNotAllowed, Stale
from entrypoints.http.protocol.request import SAFE_METHODS, RawHeaders, Request, required_request
from entrypoints.http.protocol.writes import Writes, entity_tag, has_seen

KEYED_METHODS = frozenset({"POST", "PATCH"})
"""Methods for which Idempotency-Key matters; the others are idempotent."""
_VERSION_DIGITS_MAX = 18
_CONDITION = Violation("/If-Match", "is not supported here: the operation does not target a single version")
_KEY = Violation("/Idempotency-Key", "is not supported here: a repeated request is carried out again")


@dataclass(frozen=True, slots=True)
class Conventions:
    """The parts that the operations of all resources share."""

    views: Views
    pages: Pages
    writes: Writes
    collections: frozenset[str]


class Endpoint:
    """One operation of one controller, ready for requests."""

    def __init__(self, declared: Operation, controller: Controller, conventions: Conventions) -> None:
        self.declared = declared
        self._controller = controller
        self._conventions = conventions
        self._handler: Callable[..., Awaitable[Any]] = getattr(controller, declared.handler)
        self._is_available = declared.only_if is None or declared.only_if(controller)
        self._is_once = declared.is_repeatable and declared.replay is not None
        self._takes = declared.parameters
        is_patch = declared.method == "PATCH"
        self._accepted = (MERGE_PATCH_TYPE, JSON_TYPE) if is_patch else (JSON_TYPE,)
        self._headers = () if declared.is_stored else NO_STORE

    async def __call__(self, request: Request) -> Answer:
        """Answers a request. Raises TandemError."""
        if not self._is_available:
            raise NotFound("There is nothing at this address.")
        if request.method not in SAFE_METHODS:
            await self._require_supported_headers(request)
        arguments: dict[str, Any] = {}
        if not self.declared.is_public:
            arguments["actor"] = await request.actor()
        self._add_inputs(request, arguments)
        if self.declared.file_types:
            require_media_type(request, self.declared.file_types)
        elif self.declared.body is not None:
            await self._add_body(request, self.declared.body, arguments)
        headers: RawHeaders = ()
        try:
            if self._is_once and request.header(b"idempotency-key") is not None:
                result, headers = await self._once(request, arguments)
            elif self.declared.is_guarded:
                result = await self._guarded(request, arguments)
            else:
                result = await self._handler(**arguments)
        except VersionConflict as conflict:
            if (shown := self._as_addressed(request, conflict)) is conflict:
                raise
            raise shown from conflict
        return self._answer(request, result, headers)

    def _add_inputs(self, request: Request, arguments: dict[str, Any]) -> None:
        """Adds the handler's inputs from the request, its query and its path. Raises Invalid, NotFound."""
        if "request" in self._takes:
            arguments["request"] = request
        if not self.declared.has_free_query:
            query: Any = query_reader(self.declared.query).read(request.query_string)
            if "query" in self._takes:
                arguments["query"] = query
            if "page" in self._takes:
                arguments["page"] = self._conventions.pages.request(request, query)
        for name, text in request.path_parameters.items():
            value = self._checked(name, text)
            if name in self._takes:
                arguments[name] = value

    async def _once(self, request: Request, arguments: dict[str, Any]) -> tuple[Any, RawHeaders]:
        """The handler's result for a request with a key, or its earlier result for the same request."""
        actor, replay = arguments["actor"], self.declared.replay

        async def run(claimed: Actor) -> Any:
            arguments["actor"] = claimed
            if self.declared.is_guarded:
                return await self._guarded(request, arguments)
            return await self._handler(**arguments)

        async def repeat(id: str, version: int) -> Any:
            return None if replay is None else await replay(self._controller, actor, id, version)

        return await self._conventions.writes.once(request, actor, run=run, replay=repeat)

    async def _guarded(self, request: Request, arguments: dict[str, Any]) -> Any:
        """The handler's result for a request that may have If-Match."""
        actor = arguments["actor"]
        arguments["expected"] = await self._conventions.writes.expected_version(
            request.scope, lambda: self._controller.load(actor, self._record_id(request) or "")
        )
        return await self._handler(**arguments)

    async def _add_body(self, request: Request, kind: type[Struct], arguments: dict[str, Any]) -> None:
        bytes_max = self.declared.body_bytes_max
        if self.declared.has_optional_body and not await request.body(bytes_max):
            arguments["body"] = None
            return
        read = self.declared.body_reader or body_reader(kind).read
        arguments["body"] = await read_body(request, read, accepted=self._accepted, bytes_max=bytes_max)

    async def _require_supported_headers(self, request: Request) -> None:
        """Raises Invalid for If-Match or Idempotency-Key where the operation would ignore it, because the caller relies
        on their effect. Authentication comes first, and raises its own errors.
        """
        violations = list(self._unsupported(request))
        if violations:
            if not self.declared.is_public:
                await request.actor()
            names = " and ".join(violation.pointer.removeprefix("/") for violation in violations)
            raise Invalid(f"Leave out the header {names}.", violations=violations)

    def _unsupported(self, request: Request) -> Iterator[Violation]:
        if not self.declared.is_guarded and request.header(b"if-match") is not None:
            yield _CONDITION
        is_keyless = request.method in KEYED_METHODS and not self.declared.is_repeatable
        if is_keyless and request.header(b"idempotency-key") is not None:
            yield _KEY

    def _checked(self, name: str, text: str) -> object:
        """The value of a variable part of the path. Raises NotFound for text that cannot be such a value."""
        if name == "version":
            if not (text.isascii() and text.isdecimal()) or len(text) > _VERSION_DIGITS_MAX:
                raise NotFound("There is no such version.")
            return int(text)
        if name == "collection" and text not in self._conventions.collections:
            raise NotFound("There is no such collection.")
        if name.endswith("id") and not is_id(text):
            raise NotFound
        return text

    def _record_id(self, request: Request) -> str | None:
        return self._controller.record_id(request.path_parameters)

    def _as_addressed(self, request: Request, conflict: VersionConflict) -> VersionConflict | Stale:
        """The error for this caller: Stale if the request named a version, VersionConflict otherwise."""
        collection, id = self._controller.collection, self._record_id(request)
        if collection is None or id is None or not conflict.concerns(collection, id):
            # A caller could mistake the version of another record for that of the one at this address.
            return VersionConflict(conflict.message)
        named = request.header(b"if-match")
        if named is None or named.strip() == b"*":
            return conflict
        return Stale(current_version=conflict.current_version)

    def _answer(self, request: Request, result: Any, headers: RawHeaders) -> Answer:
        """The answer for a result: an Answer as it is, a view without ETag, an entity with its ETag."""
        if isinstance(result, Answer):
            return result
        declared, views = self.declared, self._conventions.views
        headers = (*self._headers, *headers)
        if isinstance(result, Page):
            return self._conventions.pages.answer(request, result, views.of, headers=headers)
        is_volatile = isinstance(result, Volatile)
        entity = result.entity if is_volatile else result
        if declared.status == 204:
            tag = () if entity is None else ((b"etag", entity_tag(entity.version)),)
            return Answer(status=204, headers=(*tag, *headers))
        view = views.of(entity)
        if declared.is_tagged and view is not entity:
            headers = ((b"etag", entity_tag(entity.version)), *headers)
            if request.method == "GET" and not is_volatile and has_seen(request.scope, entity.version):
                return Answer(status=304, headers=headers)
            if declared.status == 201:
                address = f"{declared.location or request.path}/{entity.id}"
                headers = ((b"location", address.encode()), *headers)
        return Answer(encoded(view), status=declared.status, headers=headers)


def routes_of(
    controllers: Mapping[type[Controller], Controller], conventions: Conventions
) -> list[HTTPRouteHandler]:
    """The routes. Paths with the same methods share one handler, because the framework takes long to prepare each."""
    endpoints: dict[str, dict[str, Endpoint]] = {}
    for kind, controller in controllers.items():
        for declared in operations_of(kind):
            by_method = endpoints.setdefault(declared.path, {})
            if declared.method in by_method:
                raise TypeError(f"{declared.method} {declared.path} is declared twice")
            by_method[declared.method] = Endpoint(declared, controller, conventions)
    paths: dict[frozenset[str], list[str]] = {}
    for path, by_method in endpoints.items():
        paths.setdefault(frozenset(by_method), []).append(path)
    return [_handler(paths_alike, methods, endpoints) for methods, paths_alike in paths.items()]


def _handler(
    paths: Iterable[str], methods: Iterable[str], endpoints: Mapping[str, Mapping[str, Endpoint]]
) -> HTTPRouteHandler:
    # Without parameters, because the framework takes more time to bind them than the endpoint takes as a whole.
    async def serve() -> Answer:
        request = required_request()
        endpoint = endpoints[request.route].get(request.method)
        return options if endpoint is None else await endpoint(request)

    allow = MethodNotAllowed(allow=methods).allow
    # The router accepts the declared methods and OPTIONS.
    options = Answer(status=204, headers=((b"allow", allow.encode()),))
    # The answer has its own status, but the framework requires one that allows a body.
    handler: HTTPRouteHandler = route(
        [path.replace("}", ":str}") for path in paths],
        http_method=[HttpMethod(method) for method in (*methods, "OPTIONS")],
        status_code=200,
    )(serve)
    return handler
