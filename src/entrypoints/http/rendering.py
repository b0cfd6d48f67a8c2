"""Entities to views to bytes, and the answers that carry them."""

from collections.abc import Callable
from dataclasses import is_dataclass
from datetime import UTC, datetime
from enum import IntEnum
from operator import attrgetter
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
from litestar import Request
from litestar.types import Receive, Scope, Send

from application.accounts.users import UserDetails
from application.tasks.details import Expansion, NamedAssignee, TaskDetails
from domain.assignment import TaskAssignment
from domain.entity import Entity
from domain.label import Label
from domain.project import Project
from domain.role import Role
from domain.task import Task
from domain.team import Membership, Team
from domain.timeline import Timeline
from domain.user import User
from entrypoints.http.conditional import Tagged, entity_tag, has_seen
from entrypoints.http.task_shapes import AssignmentView
from entrypoints.http.team_shapes import MembershipView, RoleView, TeamView
from entrypoints.http.views import (
    AssigneeView,
    LabelView,
    ProjectView,
    ShownStatus,
    TaskLabelView,
    TaskView,
    TimelineView,
    UserView,
)

HttpRequest = Request[Any, Any, Any]
RawHeaders = tuple[tuple[bytes, bytes], ...]

V = TypeVar("V", bound=msgspec.Struct)

JSON = b"application/json"
NO_STORE: RawHeaders = ((b"cache-control", b"no-store"),)
_ENCODER = msgspec.json.Encoder()
_WITH_FRACTION = len('"2026-01-31T12:00:00.123456Z"')


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
    # msgspec writes it in half the time that `isoformat` takes, in quotes and with six digits or none.
    text = _ENCODER.encode(instant.astimezone(UTC)).decode("ascii")
    return f"{text[1:24]}Z" if len(text) == _WITH_FRACTION else f"{text[1:20]}.000Z"


def display_text(number: int) -> str:
    """The short number of a task as people write it."""
    return f"#{number}"


def encoded(view: object) -> bytes:
    """The view as JSON."""
    return _ENCODER.encode(view)


def view_answer(
    view: object, *, status: int = 200, headers: RawHeaders = (), media_type: bytes = JSON
) -> Answer:
    """An answer with a view as its body."""
    return Answer(_ENCODER.encode(view), status=status, headers=headers, media_type=media_type)


def entity_answer(
    request: HttpRequest,
    entity: Tagged,
    *,
    status: int = 200,
    headers: RawHeaders = (),
    is_cacheable_by_version: bool = True,
) -> Answer:
    """An entity's view under its tag; 304 without a body where a reader has this version already, unless the view
    shows more than the version tells.
    """
    tagged = ((b"etag", entity_tag(entity.version)), *headers)
    if is_cacheable_by_version and request.method == "GET" and has_seen(request.scope, entity.version):
        return Answer(status=304, headers=tagged)
    return Answer(_ENCODER.encode(view_of(entity)), status=status, headers=tagged)


def view_of(entity: Tagged) -> msgspec.Struct:
    """The view of an entity of any kind, or of what one caller sees of it."""
    return _VIEW_MAKERS[type(entity)](entity)


def shown(entity: Tagged) -> dict[str, object]:
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


def _view_maker(entity: type[Any], view: type[V], *, without: tuple[str, ...] = ()) -> Callable[[Any], V]:
    """A function from entities to views, prepared once: it knows which fields need another form. Those in `without`,
    which are the view's last, keep their defaults.
    """
    names = view.__struct_fields__[: len(view.__struct_fields__) - len(without)]
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


def _bare_parts(hint: Any) -> list[Any]:
    return [get_args(part)[0] if get_origin(part) is Annotated else part for part in (hint, *get_args(hint))]


def _other_form(hint: Any, shown_as: Any) -> Callable[[Any], object] | None:
    """How values of this type are shown, None where they are shown as they are."""
    kinds = [hint, *get_args(hint)]
    if datetime in kinds:
        return instant_text
    if any(isinstance(kind, type) and issubclass(kind, IntEnum) for kind in kinds):
        return attrgetter("name")
    if int in kinds and str in _bare_parts(shown_as):
        return display_text
    if any(is_dataclass(kind) for kind in kinds):
        return lambda value: msgspec.convert(value, shown_as, from_attributes=True)
    return None


_task_alone = _view_maker(Task, TaskView, without=("in_watchlist", "labels", "assignee"))
_assignee_view = _view_maker(NamedAssignee, AssigneeView)
_whole_user = _view_maker(User, UserView)


def _task_view(seen: TaskDetails) -> TaskView:
    view = _task_alone(seen.task)
    view.in_watchlist = seen.in_watchlist
    if seen.is_deferred:
        view.status = ShownStatus.DEFERRED
    if Expansion.LABELS in seen.expand:
        view.labels = tuple(TaskLabelView(label.id, label.name, label.color) for label in seen.labels)
    if Expansion.ASSIGNEE in seen.expand:
        view.assignee = None if seen.assignee is None else _assignee_view(seen.assignee)
    return view


def _user_view(seen: UserDetails) -> UserView:
    view = _whole_user(seen.user)
    if not seen.shows_contact:
        view.email = view.grants = None
    return view


VIEWS: dict[type[Entity], type[msgspec.Struct]] = {
    Project: ProjectView,
    Label: LabelView,
    User: UserView,
    Timeline: TimelineView,
    Team: TeamView,
    Membership: MembershipView,
    Role: RoleView,
    TaskAssignment: AssignmentView,
}

_VIEW_MAKERS: dict[type[Any], Callable[[Any], msgspec.Struct]] = {
    **{entity: _view_maker(entity, view) for entity, view in VIEWS.items()},
    TaskDetails: _task_view,
    UserDetails: _user_view,
}
