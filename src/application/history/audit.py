"""The audit trail: who may read which entries, the versions of one thing, and answers given before."""

from dataclasses import dataclass, replace

from application.access import require
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.repositories import AuditFilter
from application.ports.unit_of_work import Begin
from domain.audit import AuditEntry, SyncStatus
from domain.errors import MirrorPending
from domain.permissions import is_admin


@dataclass(frozen=True, slots=True)
class ListAuditEntries:
    """Administrators read every entry, others their own, without content where that was removed for good."""

    begin: Begin

    async def __call__(self, actor: Actor, filters: AuditFilter, page: PageRequest) -> Page[AuditEntry]:
        trail = self.begin(actor).audit
        if is_admin(actor.grants):
            return await trail.matching(filters, page)
        require(filters.actor_id in (None, actor.id), "You may read your own entries only.")
        found = await trail.matching(replace(filters, actor_id=actor.id), page)
        gone = await trail.about_purged(found.items)
        items = [entry.without_content() if entry.id in gone else entry for entry in found.items]
        return replace(found, items=items)


@dataclass(frozen=True, slots=True)
class ListVersions:
    """The entries of one thing, newest first. The caller has made sure that the actor may see it."""

    begin: Begin

    async def __call__(self, actor: Actor, collection: str, id: str, page: PageRequest) -> Page[AuditEntry]:
        filters = AuditFilter(collection=collection, entity_id=id)
        return await self.begin(actor).audit.matching(filters, page)


@dataclass(frozen=True, slots=True)
class FindAnswer:
    """The entry that a repeated request made the first time; None for a first request.

    Where every acknowledgement needs the second store (`needs_mirror`), a repetition is no way round it: raises
    MirrorPending as long as the entry is not known to be there.
    """

    begin: Begin
    needs_mirror: bool = False

    async def __call__(self, actor: Actor) -> AuditEntry | None:
        if actor.claim is None:
            return None
        entry = await self.begin(actor).audit.with_key(actor.claim.key)
        if entry is not None and self.needs_mirror and entry.sync_status is not SyncStatus.SYNCED:
            raise MirrorPending
        return entry
