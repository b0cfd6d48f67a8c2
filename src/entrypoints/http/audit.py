"""/v1/audit, and how audit entries look wherever they are shown."""

import msgspec
from litestar import Controller, get
from litestar.di import NamedDependency

from application.actor import Actor
from application.ports.repositories import AuditFilter
from domain.audit import AuditEntry
from domain.permissions import is_admin
from domain.task import Priority
from entrypoints.http.desks import AuditDesk
from entrypoints.http.protocol.answers import NO_STORE, Answer, HttpRequest, display_text, made_view
from entrypoints.http.protocol.operation import documented
from entrypoints.http.queries import AuditQuery, read_query
from entrypoints.http.security.authentication import actor_of
from entrypoints.http.tasks.schemas import AssignmentView
from entrypoints.http.teams.schemas import MembershipView, RoleView, TeamView
from entrypoints.http.views import (
    AuditEntryView,
    ChangeView,
    LabelView,
    ProjectView,
    TaskView,
    TimelineView,
    UserView,
    VersionView,
)

NEWEST_FIRST = "-at"

_VIEWS: dict[str, type[msgspec.Struct]] = {
    "users": UserView,
    "projects": ProjectView,
    "timelines": TimelineView,
    "tasks": TaskView,
    "labels": LabelView,
    "teams": TeamView,
    "team_members": MembershipView,
    "roles": RoleView,
    "task_assignments": AssignmentView,
}

_CONTACT = frozenset({"email", "grants"})
"""What entries about users show to these users and to administrators alone."""


_TRASH = frozenset({"isDeleted", "deletedAt", "deletedBy"})

_SHOWN = {
    **{
        collection: frozenset(field.encode_name for field in msgspec.structs.fields(view))
        for collection, view in _VIEWS.items()
    },
    # What has no view of its own. The hash of a refresh token is shown to nobody.
    "watchlists": _TRASH | {"userId", "taskId"},
    "sessions": _TRASH | {"userId", "expiresAt", "endedBecause"},
}


def audit_view(entry: AuditEntry) -> AuditEntryView:
    """An audit entry as clients see it who may see what it is about."""
    return made_view(entry, AuditEntryView, changes=_shown_changes(entry), sync=entry.sync_status)


def audit_view_for(actor: Actor, entry: AuditEntry) -> AuditEntryView:
    """An audit entry as one of its readers sees it: what somebody did to users shows him no address of theirs."""
    view = audit_view(entry)
    is_about_another = entry.collection == "users" and entry.entity_id != actor.id
    if is_about_another and not is_admin(actor.grants):
        view.changes = {name: change for name, change in view.changes.items() if name not in _CONTACT}
    return view


def version_view(entry: AuditEntry) -> VersionView:
    """An audit entry as a version in a history."""
    return made_view(entry, VersionView, changes=_shown_changes(entry))


def _shown_changes(entry: AuditEntry) -> dict[str, ChangeView]:
    """The fields that the entity's view shows, in its form; what no view shows is nobody's business."""
    names = _SHOWN.get(entry.collection, frozenset())
    return {
        name: ChangeView(_shown_value(name, sides["before"]), _shown_value(name, sides["after"]))
        for name, sides in entry.changes.items()
        if name in names
    }


def _shown_value(name: str, value: object) -> object:
    if name == "priority" and isinstance(value, int):
        return Priority(value).name
    if name == "displayId" and isinstance(value, int):
        return display_text(value)
    return value


class AuditController(Controller):
    """The whole audit trail: administrators see all of it, others what they did."""

    path = "/v1/audit"

    @get(
        opt=documented(
            "List audit entries, newest first", page_of=AuditEntryView, query=AuditQuery, also=(403,)
        )
    )
    async def list_all(self, request: HttpRequest, trail: NamedDependency[AuditDesk]) -> Answer:
        actor = actor_of(request)
        query = read_query(request, AuditQuery)
        wanted = AuditFilter(
            collection=query.collection,
            entity_id=query.entity_id,
            actor_id=query.actor_id,
            action=query.action,
            since=query.from_,
            until=query.to,
        )
        page = await trail.find(actor, wanted, trail.pages.wanted(request, query, sort=NEWEST_FIRST))
        return trail.pages.answer(request, page, lambda entry: audit_view_for(actor, entry), headers=NO_STORE)
