"""The trash of all users, for administrators."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from application.access import require_admin
from application.actor import Actor
from application.history.retention import with_trash
from application.paging import Page, PageRequest, Sort
from application.ports.clock import Clock
from application.ports.unit_of_work import Begin
from domain.errors import NotFound

OLDEST_FIRST = Sort("deletedAt")


@dataclass(frozen=True, slots=True)
class TrashHeap:
    """How much of one collection is in the trash, and since when the oldest of it."""

    collection: str
    count: int
    oldest_deleted_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReadTrash:
    """The trash of all users."""

    begin: Begin
    clock: Clock

    async def __call__(self, actor: Actor) -> Sequence[TrashHeap]:
        """Every collection that has a trash. Raises Forbidden unless an administrator asks."""
        require_admin(actor)
        heaps = []
        for collection, repository in with_trash(self.begin(actor)).items():
            oldest = PageRequest(limit=1, sort=OLDEST_FIRST, with_total=True)
            found = await repository.trashed_before(self.clock.now(), oldest)
            first = found.items[0].deleted_at if found.items else None
            heaps.append(TrashHeap(collection, found.total or 0, first))
        return heaps


@dataclass(frozen=True, slots=True)
class ListTrash:
    """What is in the trash of one collection, whose ever it is, oldest first."""

    begin: Begin
    clock: Clock

    async def __call__(self, actor: Actor, collection: str, page: PageRequest) -> Page[Any]:
        """Raises Forbidden unless an administrator asks, NotFound for a collection without a trash."""
        require_admin(actor)
        repository = with_trash(self.begin(actor)).get(collection)
        if repository is None:
            raise NotFound("This collection has no trash.")
        return await repository.trashed_before(self.clock.now(), page)
