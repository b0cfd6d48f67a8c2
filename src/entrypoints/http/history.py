"""/v1/audit, the one version contract (list, read, compare, roll back, audit), and how audit entries are shown."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import Meta, Struct

from application.actor import Actor
from application.history.audit import ListAuditEntries, ListVersions
from application.paging import Page, PageRequest
from application.ports.repositories import AuditFilter
from domain.audit import Action, AuditEntry, SyncStatus, changes_between
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
    """One field before and after, as the entity's view shows it."""

    before: Any
    after: Any


class AuditEntryView(Struct, rename="camel"):
    """Who did what, when, by which request. `sync`: how far the mirrored copy is, null where nothing is mirrored."""

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
    """What differs between two versions."""

    from_: int = msgspec.field(name="from")
    to: int
    changes: dict[str, ChangeView]


class RollbackBody(Body, rename="camel"):
    """Which version to put back."""

    version: VersionNumber


class DiffQuery(Query):
    """Which two versions to compare."""

    from_: Version = msgspec.field(name="from")
    to: Version


class AuditQuery(ListQuery, rename="camel"):
    """Which entries; `from` is inclusive, `to` exclusive."""

    usual_order = "-at"

    collection: Annotated[str, Meta(max_length=100)] | None = None
    entity_id: Id | None = None
    actor_id: Id | None = None
    action: Action | None = None
    from_: Instant | None = msgspec.field(default=None, name="from")
    to: Instant | None = None


@dataclass(frozen=True, slots=True)
class _Shown:
    """What audit entries show of one collection; see Resource."""

    fields: frozenset[str] = frozenset()
    private: frozenset[str] = frozenset()
    values: Mapping[str, Callable[[Any], object]] = field(default_factory=dict)


class AuditViews:
    """Shows audit entries: the fields that the entity's view has, in its form, and no others."""

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
        """An entry, for whoever may see the entity it is about."""
        return made_view(entry, AuditEntryView, changes=self._changes(entry), sync=entry.sync_status)

    def entry_for(self, actor: Actor, entry: AuditEntry) -> AuditEntryView:
        """An entry, for a reader who need not see what is private to the user that it is about."""
        view = self.entry(entry)
        if entry.entity_id != actor.id and not is_admin(actor.grants):
            private = self._shown.get(entry.collection, _Shown()).private
            view.changes = {name: change for name, change in view.changes.items() if name not in private}
        return view

    def version(self, entry: AuditEntry) -> VersionView:
        """An entry as a version in a history."""
        return made_view(entry, VersionView, changes=self._changes(entry))

    def _changes(self, entry: AuditEntry) -> dict[str, ChangeView]:
        shown = self._shown.get(entry.collection, _Shown())

        def value(name: str, stored: object) -> object:
            form = shown.values.get(name)
            return stored if form is None or stored is None else form(stored)

        return {
            name: ChangeView(value(name, sides["before"]), value(name, sides["after"]))
            for name, sides in entry.changes.items()
            if name in shown.fields
        }


class RollBack(Protocol):
    """Puts an earlier version back as a new one."""

    def __call__(
        self, actor: Actor, id: str, /, *, version: int, expected_version: int | None
    ) -> Awaitable[Tagged]: ...


class HistoryController(Controller, path="/v1/audit"):
    """The history of one entity. Each resource with versions inherits it, with its address, view and collection."""

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

    @operation("GET", "/versions/{version}", summary="Read it as it was", view=EntityView)
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
        summary="Put an earlier version back, as a new one",
        view=EntityView,
        repeatable=True,
        also=(403,),
    )
    async def put_back(self, actor: Actor, id: str, body: RollbackBody, expected: int | None) -> Tagged:
        return await self.roll_back(actor, id, version=body.version, expected_version=expected)


class AuditController(Controller, path="/v1/audit"):
    """The whole audit trail: administrators see all of it, others see what they did."""

    list_entries: ListAuditEntries
    audit_views: AuditViews

    @operation(
        "GET", summary="List audit entries, newest first", page_of=AuditEntryView, stored=False, also=(403,)
    )
    async def list_all(self, actor: Actor, query: AuditQuery, page: PageRequest) -> Page[AuditEntryView]:
        asked = AuditFilter(
            collection=query.collection,
            entity_id=query.entity_id,
            actor_id=query.actor_id,
            action=query.action,
            since=query.from_,
            until=query.to,
        )
        found = await self.list_entries(actor, asked, page)
        return found.showing(lambda entry: self.audit_views.entry_for(actor, entry))


AUDIT = Resource(controllers=(AuditController,))
