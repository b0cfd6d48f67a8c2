"""The trash of all users, for administrators."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from application.access import require_admin
from application.actor import Actor
from application.history.removal import with_trash
from application.paging import Page, PageRequest, Sort
from application.use_case import TimedUseCase
from domain.errors import NotFound

OLDEST_FIRST = Sort("deletedAt")


@dataclass(frozen=True, slots=True)
class TrashHeap:
    """How many entities of one collection are in the trash, and when the oldest was deleted."""

    collection: str
    count: int
    oldest_deleted_at: datetime | None


class ReadTrash(TimedUseCase):
    """The trash of all users."""

    async def __call__(self, actor: Actor) -> Sequence[TrashHeap]:
        """Every collection that has a trash. Raises Forbidden unless the actor is an administrator."""
        require_admin(actor)
        heaps = []
        for collection, repository in with_trash(self.begin(actor)).items():
            oldest = PageRequest(limit=1, sort=OLDEST_FIRST, with_total=True)
            found = await repository.trashed_before(self.clock.now(), oldest)
            first = found.items[0].deleted_at if found.items else None
            heaps.append(TrashHeap(collection, found.total or 0, first))
        return heaps


class ListTrash(TimedUseCase):
    """The trash of one collection, of all users, oldest first."""

    async def __call__(self, actor: Actor, collection: str, page: PageRequest) -> Page[Any]:
        """Raises Forbidden unless the actor is an administrator, NotFound for a collection without a trash."""
        require_admin(actor)
        repository = with_trash(self.begin(actor)).get(collection)
        if repository is None:
            raise NotFound("This collection has no trash.")
        return await repository.trashed_before(self.clock.now(), page)
