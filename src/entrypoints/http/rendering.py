"""Entities to views to bytes, and the answers that carry them."""

from collections.abc import Callable
from dataclasses import is_dataclass
from datetime import UTC, datetime
from enum import IntEnum
from operator import attrgetter
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec
from litestar import Request
from litestar.types import Receive, Scope, Send

from domain.entity import Entity
from domain.label import Label
from domain.project import Project
from domain.task import Task
from domain.timeline import Timeline
from domain.user import User
from entrypoints.http.conditional import entity_tag, has_seen
from entrypoints.http.views import LabelView, ProjectView, TaskView, TimelineView, UserView

HttpRequest = Request[Any, Any, Any]
RawHeaders = tuple[tuple[bytes, bytes], ...]

V = TypeVar("V", bound=msgspec.Struct)

JSON = b"application/json"
NO_STORE: RawHeaders = ((b"cache-control", b"no-store"),)
_ENCODER = msgspec.json.Encoder()


class Answer:
    """A finished answer: status, headers, body bytes. An ASGI application of its own, so nothing renders it again."""

    __slots__ = ("body", "headers", "status")

    def __init__(
        self, body: bytes = b"", *, status: int = 200, headers: RawHeaders = (), media_type: bytes = JSON
    ) -> None:
        self.status = status
        self.body = body
        has_body = status not in (204, 304)
        described = (
            ((b"content-type", media_type), (b"content-length", b"%d" % len(body))) if has_body else ()
        )
        self.headers = [*described, *headers]

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status, "headers": self.headers})
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def instant_text(instant: datetime) -> str:
    """RFC 3339 in UTC with exactly three digits of milliseconds and `Z`."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def encoded(view: object) -> bytes:
    """The view as JSON."""
    return _ENCODER.encode(view)


def view_answer(
    view: object, *, status: int = 200, headers: RawHeaders = (), media_type: bytes = JSON
) -> Answer:
    """An answer with a view as its body."""
    return Answer(_ENCODER.encode(view), status=status, headers=headers, media_type=media_type)


def entity_answer(
    request: HttpRequest, entity: Entity, *, status: int = 200, headers: RawHeaders = ()
) -> Answer:
    """An entity's view under its tag; 304 without a body where a reader has this version already."""
    tagged = ((b"etag", entity_tag(entity.version)), *headers)
    if request.method == "GET" and has_seen(request.scope, entity.version):
        return Answer(status=304, headers=tagged)
    return Answer(_ENCODER.encode(view_of(entity)), status=status, headers=tagged)


def view_of(entity: Entity) -> msgspec.Struct:
    """The view of an entity of any kind."""
    return _VIEW_MAKERS[type(entity)](entity)


def shown(entity: Entity) -> dict[str, object]:
    """The view of an entity as JSON values."""
    values: dict[str, object] = msgspec.to_builtins(view_of(entity))
    return values


def made_view(source: object, view: type[V], **replaced: object) -> V:
    """A view with the attributes of the same names; what is named in `replaced` is taken from there."""
    given = {name: getattr(source, name) for name in view.__struct_fields__ if name not in replaced}
    plain = {
        name: instant_text(value) if isinstance(value, datetime) else value for name, value in given.items()
    }
    return view(**plain, **replaced)


def _view_maker(entity: type[Any], view: type[V]) -> Callable[[Any], V]:
    """A function from entities to views, prepared once: it knows which fields need another form."""
    names = view.__struct_fields__
    read = attrgetter(*names)
    hints, shown_as = get_type_hints(entity), get_type_hints(view, include_extras=True)
    found = [(place, _other_form(hints[name], shown_as[name])) for place, name in enumerate(names)]
    forms = [(place, form) for place, form in found if form is not None]

    def make(value: Any) -> V:
        values = list(read(value))
        for place, form in forms:
            if values[place] is not None:
                values[place] = form(values[place])
        return view(*values)

    return make


def _other_form(hint: Any, shown_as: Any) -> Callable[[Any], object] | None:
    """How values of this type are shown, None where they are shown as they are."""
    kinds = [hint, *get_args(hint)]
    if datetime in kinds:
        return instant_text
    if any(isinstance(kind, type) and issubclass(kind, IntEnum) for kind in kinds):
        return attrgetter("name")
    if any(is_dataclass(kind) for kind in kinds):
        return lambda value: msgspec.convert(value, shown_as, from_attributes=True)
    return None


VIEWS: dict[type[Entity], type[msgspec.Struct]] = {
    Project: ProjectView,
    Task: TaskView,
    Label: LabelView,
    User: UserView,
    Timeline: TimelineView,
}

_VIEW_MAKERS: dict[type[Entity], Callable[[Any], msgspec.Struct]] = {
    entity: _view_maker(entity, view) for entity, view in VIEWS.items()
}
