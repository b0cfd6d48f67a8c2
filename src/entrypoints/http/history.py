"""/v1/audit, the version history of entities (list, read, compare, roll back, audit), and views of audit entries."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta, Struct

from application.actor import Actor
from application.history.audit import ListAuditEntries, ListVersions
from application.paging import Page, PageRequest
from application.ports.repositories import AuditFilter
from domain.audit import ADOPTED, Action, AuditEntry, SyncStatus, changes_between
from domain.permissions import is_admin
from entrypoints.http.protocol.answers import Tagged, Views, made_view
from entrypoints.http.protocol.operation import Controller, Load, operation
from entrypoints.http.protocol.resource import Resource
from entrypoints.http.protocol.schemas import (
    Body,
    EntityView,
    EntryQuery,
    Id,
    Instant,
    InstantText,
    ListQuery,
    Query,
    Version,
    VersionNumber,
)


class ChangeView(Struct):
    """The value of one field before and after the change, as the entity's view shows it."""

    before: Any
    after: Any


class AuditEntryView(Struct, rename="camel"):
    """A change with its actor, time, request and changed fields. `sync` is its mirror status, null without a mirror."""

    id: Id
    collection: str
    entity_id: Id
    version: int
    action: Action
    actor_id: Id
    at: InstantText
    request_id: str
    changes: dict[str, ChangeView]
    sync: SyncStatus | None


class VersionView(Struct, rename="camel"):
    """One version in an entity's history."""

    version: int
    at: InstantText
    actor_id: Id
    action: Action
    changes: dict[str, ChangeView]


class DiffView(Struct, rename="camel"):
    """The differences between two versions."""

    from_: int = msgspec.field(name="from")
    to: int
    changes: dict[str, ChangeView]


class RollbackBody(Body):
    """The version to restore."""

    version: VersionNumber


class DiffQuery(Query):
    """The two versions to compare."""

    from_: Version = msgspec.field(name="from")
    to: Version


class AuditQuery(ListQuery):
    """Filters for audit entries; `from` is inclusive, `to` exclusive."""

    usual_order = "-at"

    collection: Annotated[str, Meta(max_length=100)] | None = None
    entity_id: Id | None = None
    actor_id: Id | None = None
    action: Action | None = None
    from_: Instant | None = msgspec.field(default=None, name="from")
    to: Instant | None = None


@dataclass(frozen=True, slots=True)
class _Shown:
    """The fields of one collection that audit entries show; see Resource."""

    fields: frozenset[str] = frozenset()
    private: frozenset[str] = frozenset()
    values: Mapping[str, Callable[[Any], object]] = field(default_factory=dict)


class AuditViews:
    """Makes views of audit entries, with the fields and formats of the entity's view, and notes of another service."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self._shown = {
            resource.collection: _Shown(
                frozenset(each.encode_name for each in msgspec.structs.fields(resource.view)),
                resource.private,
                resource.shown_values,
            )
            for resource in resources
            if resource.collection is not None and resource.view is not None
        }

    def entry(self, entry: AuditEntry) -> AuditEntryView:
        """The view of an entry for a reader who may see its entity."""
        return made_view(entry, AuditEntryView, changes=self._changes(entry), sync=entry.sync_status)

    def entry_for(self, actor: Actor, entry: AuditEntry) -> AuditEntryView:
        """The view of an entry, without private fields unless the reader is that user or an administrator."""
        view = self.entry(entry)
        if entry.entity_id != actor.id and not is_admin(actor.grants):
            private = self._shown.get(entry.collection, _Shown()).private
            view.changes = {name: change for name, change in view.changes.items() if name not in private}
        return view

    def version(self, entry: AuditEntry) -> VersionView:
        """The view of an entry as a version in a history."""
        return made_view(entry, VersionView, changes=self._changes(entry))

    def _changes(self, entry: AuditEntry) -> dict[str, ChangeView]:
        shown = self._shown.get(entry.collection, _Shown())

        def value(name: str, stored: object) -> object:
            form = shown.values.get(name)
            return stored if form is None or stored is None else form(stored)

        return {
            name: ChangeView(value(name, sides["before"]), value(name, sides["after"]))
            for name, sides in entry.changes.items()
            if name in shown.fields or name.startswith(ADOPTED)
        }


class RollBack(Protocol):
    """Restores an earlier version as a new one."""

    def __call__(
        self, actor: Actor, id: str, /, *, version: int, expected_version: int | None
    ) -> Awaitable[Tagged]: ...


class HistoryController(Controller, path="/v1/audit"):
    """The history of one entity. A resource with versions inherits it and sets its address, view and collection."""

    get: Load
    roll_back: RollBack
    list_versions: ListVersions
    views: Views
    audit_views: AuditViews

    @operation(
        "GET",
        "/versions",
        summary="List versions, newest first",
        page_of=VersionView,
        query=EntryQuery,
        stored=False,
    )
    async def versions(self, actor: Actor, id: str, page: PageRequest) -> Page[VersionView]:
        return (await self._entries(actor, id, page)).showing(self.audit_views.version)

    @operation(
        "GET",
        "/audit",
        summary="List audit entries, newest first",
        page_of=AuditEntryView,
        query=EntryQuery,
        stored=False,
    )
    async def audit(self, actor: Actor, id: str, page: PageRequest) -> Page[AuditEntryView]:
        return (await self._entries(actor, id, page)).showing(self.audit_views.entry)

    async def _entries(self, actor: Actor, id: str, page: PageRequest) -> Page[AuditEntry]:
        await self.get(actor, id)
        return await self.list_versions(actor, self.collection or "", id, page)

    @operation("GET", "/versions/{version}", summary="Read an earlier version", view=EntityView)
    async def version(self, actor: Actor, id: str, version: int) -> Tagged:
        return await self.get(actor, id, version=version)

    @operation("GET", "/diff", summary="Compare two versions", view=DiffView, stored=False)
    async def diff(self, actor: Actor, id: str, query: DiffQuery) -> DiffView:
        before = self.views.builtins(await self.get(actor, id, version=query.from_))
        after = self.views.builtins(await self.get(actor, id, version=query.to))
        changes = msgspec.convert(changes_between(before, after), dict[str, ChangeView])
        return DiffView(query.from_, query.to, changes)

    @operation(
        "POST",
        "/rollback",
        summary="Restore an earlier version as a new version",
        view=EntityView,
        repeatable=True,
        also=(403,),
    )
    async def roll_back_to(self, actor: Actor, id: str, body: RollbackBody, expected: int | None) -> Tagged:
        return await self.roll_back(actor, id, version=body.version, expected_version=expected)


class AuditController(Controller, path="/v1/audit"):
    """The audit trail: administrators see all entries, other users see their own."""

    list_entries: ListAuditEntries
    audit_views: AuditViews

    @operation(
        "GET", summary="List audit entries, newest first", page_of=AuditEntryView, stored=False, also=(403,)
    )
    async def list_all(self, actor: Actor, query: AuditQuery, page: PageRequest) -> Page[AuditEntryView]:
        filters = AuditFilter(
            collection=query.collection,
            entity_id=query.entity_id,
            actor_id=query.actor_id,
            action=query.action,
            since=query.from_,
            until=query.to,
        )
        found = await self.list_entries(actor, filters, page)
        return found.showing(lambda entry: self.audit_views.entry_for(actor, entry))


AUDIT = Resource(controllers=(AuditController,))
