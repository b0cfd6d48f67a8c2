"""Carries out declared operations: checks the request, calls the handler, makes the answer."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler, route
from msgspec import Struct, structs

from application.actor import Actor
from application.paging import Page
from application.ports.read_routing import ReadRouting
from domain.entity import is_id
from domain.errors import AlreadyExists, Invalid, NotFound, TandemError, VersionConflict, Violation
from entrypoints.http.protocol.answers import NO_STORE, Answer, Views, Volatile, encoded
from entrypoints.http.protocol.cursors import Pages
from entrypoints.http.protocol.input import (
    JSON_TYPE,
    MERGE_PATCH_TYPE,
    body_reader,
    query_reader,
    read_body,
    require_media_type,
    require_plain_body,
)
from entrypoints.http.protocol.operation import Controller, Operation, operations_of
from entrypoints.http.protocol.preconditions import entity_tag, require_match, seen_tag
from entrypoints.http.protocol.problems import MethodNotAllowed, Stale
from entrypoints.http.protocol.read_tokens import RoutedReads
from entrypoints.http.protocol.request import SAFE_METHODS, RawHeaders, Request, required_request
from entrypoints.http.protocol.schemas import set_fields
from entrypoints.http.protocol.writes import Writes

KEYED_METHODS = frozenset({"POST", "PATCH"})
"""Methods for which Idempotency-Key matters; the others are idempotent."""
_VERSION_DIGITS_MAX = 18
_CONDITIONS = {
    name.lower().encode(): Violation(
        f"/{name}", "is not supported here: the operation does not target a single version"
    )
    for name in ("If-Match", "If-None-Match")
}
_KEY = Violation("/Idempotency-Key", "is not supported here: a repeated request is carried out again")


@dataclass(frozen=True, slots=True)
class Conventions:
    """The parts that the operations of all resources share."""

    views: Views
    pages: Pages
    writes: Writes
    collections: frozenset[str]
    read_routing: ReadRouting | None = None


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
        routing = self._conventions.read_routing
        if routing is None:
            return await self._carried_out(request, None)
        routed = RoutedReads(routing, request)
        try:
            answer = await self._carried_out(request, routed)
            if routed.has_unconfirmed:
                await routed.add_token()
            return answer
        except TandemError:
            if routed.has_unconfirmed:
                await routed.add_token()
            raise
        finally:
            routed.leave()

    async def _carried_out(self, request: Request, routed: RoutedReads | None) -> Answer:
        if not self._is_available:
            raise NotFound("There is nothing at this address.")
        if request.method not in SAFE_METHODS:
            await self._require_supported_headers(request)
        arguments: dict[str, Any] = {}
        if not self.declared.is_public:
            arguments["actor"] = actor = await request.actor()
            if routed is not None:
                await routed.route(actor.id)
        require_plain_body(request)
        self._add_inputs(request, arguments)
        await self._add_body(request, arguments)
        headers: RawHeaders = ()
        try:
            if self._is_once and request.header(b"idempotency-key") is not None:
                result, headers = await self._once(request, arguments)
            elif self.declared.is_guarded:
                result = await self._guarded(request, arguments)
            else:
                result = await self._handler(**arguments)
        except (VersionConflict, AlreadyExists) as conflict:
            if (shown := self._shown(request, conflict, arguments.get("body"))) is conflict:
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
        """The handler's result for a request that may have preconditions."""
        actor = arguments["actor"]
        arguments["expected"] = await self._conventions.writes.expected_version(
            request.scope, lambda: self._controller.load(actor, self._record_id(request) or "")
        )
        return await self._handler(**arguments)

    async def _add_body(self, request: Request, arguments: dict[str, Any]) -> None:
        """Adds the handler's body, if it takes one, and checks the type of a file."""
        kind = self.declared.body
        if self.declared.file_types:
            require_media_type(request, self.declared.file_types)
            return
        if kind is None:
            return
        bytes_max = self.declared.body_bytes_max
        if self.declared.has_optional_body and not await request.body(bytes_max):
            arguments["body"] = None
            return
        read = self.declared.body_reader or body_reader(kind).read
        arguments["body"] = await read_body(request, read, accepted=self._accepted, bytes_max=bytes_max)

    async def _require_supported_headers(self, request: Request) -> None:
        """Raises Invalid for conditions or Idempotency-Key where the operation would ignore them, because callers rely
        on their effect. Authentication comes first, and raises its own errors.
        """
        violations = list(self._unsupported(request))
        if violations:
            if not self.declared.is_public:
                await request.actor()
            names = " and ".join(violation.pointer.removeprefix("/") for violation in violations)
            raise Invalid(f"Leave out the header {names}.", violations=violations)

    def _unsupported(self, request: Request) -> Iterator[Violation]:
        if not self.declared.is_guarded:
            for name, violation in _CONDITIONS.items():
                if request.header(name) is not None:
                    yield violation
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

    def _shown(
        self, request: Request, conflict: VersionConflict | AlreadyExists, body: object
    ) -> TandemError:
        """The error for this caller; the same object if it needs no change."""
        if isinstance(conflict, AlreadyExists):
            return _blaming_sent(conflict, body)
        return self._as_addressed(request, conflict)

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
            if request.method == "GET":
                if request.has_header(b"if-match"):
                    require_match(request.scope, entity.version)
                if not is_volatile and request.has_header(b"if-none-match"):
                    seen = seen_tag(request.scope, str(entity.version))
                    if seen is not None:
                        return Answer(status=304, headers=((b"etag", seen), *headers[1:]))
            if declared.status == 201:
                address = f"{declared.location or request.path}/{entity.id}"
                headers = ((b"location", address.encode()), *headers)
        return Answer(encoded(view), status=declared.status, headers=headers)


def _blaming_sent(taken: AlreadyExists, body: object) -> AlreadyExists:
    """The error with the fields that the caller sent: a unique value may also consist of fields that follow from the
    caller or from the record. A request without a body, such as a restoration, is about the record's own value: the
    last field of the key, within the scope of the fields before it.
    """
    if body is None:
        return AlreadyExists(taken.message, fields=taken.fields[-1:])
    names: set[str] = set()
    if isinstance(body, Struct):
        given = set_fields(body)
        names = {field.encode_name for field in structs.fields(body) if field.name in given}
    sent = [name for name in taken.fields if name in names]
    if sent or not taken.fields:
        return AlreadyExists(taken.message, fields=sent)
    unique = " and ".join(taken.fields)
    return AlreadyExists(f"Another record already has this {unique}; change that one first.")


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
