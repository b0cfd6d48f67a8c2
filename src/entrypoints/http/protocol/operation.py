"""The declaration of an operation, which determines the checks, the answer and the OpenAPI description.

A handler is a method of a controller. Its parameters are its inputs: `request`, `actor` (the signed-in user), the
variable parts of the path, `query` and `body` (validated as the annotated types), `page` (the page that the query
requests), `expected` (the version that If-Match requires). Inputs without a parameter, such as query parameters and
conditions, are rejected.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from types import UnionType
from typing import Any, ClassVar, Protocol, TypeVar, dataclass_transform, get_args, get_type_hints

from msgspec import Struct

from application.actor import Actor
from entrypoints.http.protocol.answers import Tagged
from entrypoints.http.protocol.request import BODY_BYTES_MAX
from entrypoints.http.protocol.schemas import EntityView, Query

_DECLARATION = "__operation__"
_KNOWN_PARAMETERS = frozenset({"request", "actor", "query", "body", "page", "expected"})

F = TypeVar("F", bound=Callable[..., Any])
Replay = Callable[[Any, Actor, str, int], Awaitable[object]]
"""Reads the result of an actor's earlier request, by controller, actor, and the id and version in its audit entry."""


class Load(Protocol):
    """Reads the current version of an entity, or an earlier one."""

    def __call__(self, actor: Actor, id: str, /, *, version: int | None = None) -> Awaitable[Tagged]: ...


@dataclass_transform(frozen_default=True, kw_only_default=True)
class Controller:
    """The operations of one address. The annotated attributes of a subclass are its use cases and other parts.

    path: The prefix of the paths of its operations.
    collection: The collection of the record at this address.
    view: The view of operations that are declared with EntityView.
    stored, also: The defaults of its operations.
    """

    path: ClassVar[str] = ""
    collection: ClassVar[str | None] = None
    view: ClassVar[type[Struct] | None] = None
    is_stored: ClassVar[bool] = True
    also: ClassVar[tuple[int, ...]] = ()

    def __init_subclass__(
        cls,
        *,
        path: str | None = None,
        collection: str | None = None,
        view: type[Struct] | None = None,
        stored: bool = True,
        also: tuple[int, ...] = (),
    ) -> None:
        cls.is_stored, cls.also = stored, also
        cls.path = path or cls.path
        cls.collection = collection or cls.collection
        cls.view = view or cls.view

    # Not a real dataclass, because creating dataclasses would take most of the start-up time.
    def __init__(self, **parts: object) -> None:
        self.__dict__.update(parts)

    def record_id(self, path: dict[str, str]) -> str | None:
        """The id of the record at this address."""
        return path.get("id")

    async def load(self, actor: Actor, id: str, *, version: int | None = None) -> Tagged:
        """The current or an earlier version of that record, for If-Match and for repeated requests."""
        get: Load = self.get  # type: ignore[attr-defined]  # all controllers of one entity have this field
        return await (get(actor, id) if version is None else get(actor, id, version=version))


async def _replay_version(controller: Controller, actor: Actor, id: str, version: int) -> object:
    return await controller.load(actor, id, version=version)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A declared operation.

    summary: The summary in the OpenAPI document; an operation without one is not in the document.
    description: What the document says about it besides the summary.
    status: The status of success. 201 adds Location.
    location: The address below which Location names the new entity; the default is the address of the request.
    view, page_of: The view of the result, or of each item of a page. EntityView means the view of the controller.
    is_public: Authentication is not required.
    is_tagged: The answer is an entity with its ETag; the default if `view` is the view of an entity.
    is_repeatable: Idempotency-Key is supported. `replay` reads the result of an earlier request (`load` by default);
        with None the handler does so itself.
    is_stored: Caches may keep the answer.
    body, body_reader: The documented type, and the function that reads the bytes if that is not the type's own reader.
    body_bytes_max: The size limit of the body.
    file_types: The body is a file of one of these types, which the handler reads itself.
    has_free_query: Query parameters are neither checked nor rejected.
    media_type: The media type of the answer.
    only_if: A condition on the controller; the operation answers 404 if it does not hold.
    also: Further statuses, in addition to those that follow from the declaration.
    """

    method: str
    path: str
    handler: str
    parameters: frozenset[str]
    summary: str | None
    description: str = ""
    status: int = 200
    location: str | None = None
    view: type[Struct] | None = None
    page_of: type[Struct] | None = None
    query: type[Query] = Query
    body: type[Struct] | None = None
    body_reader: Callable[[bytes], object] | None = None
    body_bytes_max: int = BODY_BYTES_MAX
    file_types: tuple[str, ...] = ()
    has_optional_body: bool = False
    has_free_query: bool = False
    is_public: bool = False
    is_tagged: bool = False
    is_guarded: bool = False
    is_repeatable: bool = False
    is_stored: bool = True
    media_type: str = "application/json"
    also: tuple[int, ...] = ()
    replay: Replay | None = _replay_version
    only_if: Callable[[Any], bool] | None = None


def operation(method: str, path: str = "", *, summary: str | None = None, **facts: Any) -> Callable[[F], F]:
    """Declares a method of a controller as an operation. `path` is appended to the controller's path; `facts` are the
    fields of Operation, without the prefixes `is_` and `has_`.
    """
    renamed = {_FIELD_NAMES.get(name, name): value for name, value in facts.items()}

    def declare(handler: F) -> F:
        taken = inspect.signature(handler).parameters
        view = facts.get("view")
        derived = {
            "is_guarded": "expected" in taken,
            "is_tagged": view is not None and issubclass(view, EntityView),
        }
        declared = {**derived, **_input_types(handler), **renamed}
        setattr(
            handler,
            _DECLARATION,
            Operation(
                method=method,
                path=path,
                handler=handler.__name__,
                parameters=frozenset(taken) - {"self"},
                summary=summary,
                **declared,
            ),
        )
        return handler

    return declare


_FIELD_NAMES = {
    "public": "is_public",
    "tagged": "is_tagged",
    "repeatable": "is_repeatable",
    "stored": "is_stored",
    "free_query": "has_free_query",
}


def _input_types(handler: Callable[..., Any]) -> dict[str, Any]:
    """The types of query and body from the handler's annotations."""
    found: dict[str, Any] = {}
    if (query := handler.__annotations__.get("query")) is not None:
        found["query"] = query
    body = handler.__annotations__.get("body")
    if isinstance(body, UnionType):
        found["body"] = next(part for part in get_args(body) if part is not type(None))
        found["has_optional_body"] = True
    elif body is not None:
        found["body"] = body
    return found


def operations_of(controller: type[Controller]) -> Iterator[Operation]:
    """The operations of a controller and its bases, with full paths and the controller's defaults."""
    for name in dir(controller):
        declared: Operation | None = getattr(getattr(controller, name), _DECLARATION, None)
        if declared is not None:
            _require_consistent(controller, declared)
            yield replace(
                declared,
                path=controller.path + declared.path,
                view=controller.view if declared.view is EntityView else declared.view,
                is_stored=declared.is_stored and controller.is_stored,
                also=(*controller.also, *declared.also),
            )


def _require_consistent(controller: type[Controller], declared: Operation) -> None:
    """Raises TypeError for a handler whose parameters contradict its declaration."""
    where = f"{controller.__name__}.{declared.handler}"
    in_path = {part[1:-1] for part in (controller.path + declared.path).split("/") if part.startswith("{")}
    if unknown := declared.parameters - _KNOWN_PARAMETERS - in_path:
        raise TypeError(f"{where} has unknown parameters: {', '.join(sorted(unknown))}")
    if declared.is_public == ("actor" in declared.parameters):
        raise TypeError(f"{where} must either be public or take the actor")
    is_loaded = declared.is_guarded or (declared.is_repeatable and declared.replay is _replay_version)
    if is_loaded and controller.load is Controller.load and "get" not in get_type_hints(controller):
        raise TypeError(f"{where} needs a use case `get`, for If-Match and for repeated requests")
