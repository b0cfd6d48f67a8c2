"""The audit trail: listing entries, the versions of one entity, and the entry of a repeated request."""

from dataclasses import dataclass, replace

from application.access import require
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.repositories import AuditFilter
from application.use_case import UseCase
from domain.audit import AuditEntry, SyncStatus
from domain.errors import MirrorPending
from domain.permissions import is_admin


class ListAuditEntries(UseCase):
    """Administrators read every entry, others their own. Entries of purged entities have no content for others."""

    async def __call__(self, actor: Actor, filters: AuditFilter, page: PageRequest) -> Page[AuditEntry]:
        trail = self.begin(actor).audit
        if is_admin(actor.grants):
            return await trail.matching(filters, page)
        require(filters.actor_id in (None, actor.id), "You can only read your own entries.")
        found = await trail.matching(replace(filters, actor_id=actor.id), page)
        gone = await trail.about_purged(found.items)
        items = [entry.without_content() if entry.id in gone else entry for entry in found.items]
        return replace(found, items=items)


class ListVersions(UseCase):
    """The entries of one entity, newest first. The caller has checked that the actor may see it."""

    async def __call__(self, actor: Actor, collection: str, id: str, page: PageRequest) -> Page[AuditEntry]:
        filters = AuditFilter(collection=collection, entity_id=id)
        return await self.begin(actor).audit.matching(filters, page)


@dataclass(frozen=True, slots=True)
class FindAnswer(UseCase):
    """The entry of an earlier request with the same idempotency key; None for a first request.

    With `needs_mirror`, every success response requires the second store: raises MirrorPending until the entry is
    known to be there.
    """

    needs_mirror: bool = False

    async def __call__(self, actor: Actor) -> AuditEntry | None:
        if actor.claim is None:
            return None
        entry = await self.begin(actor).audit.with_key(actor.claim.key)
        if entry is not None and self.needs_mirror and entry.sync_status is not SyncStatus.SYNCED:
            raise MirrorPending
        return entry
