"""The trash of every resource: delete with content, restore with the same content.

Each resource describes itself once as a `ResourceType`; its use cases inherit from here and from
`application.rollback`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar

from application.actor import Actor
from application.paging import LIMIT_MAX, PageRequest, Sort
from application.ports.repositories import Repository
from application.ports.unit_of_work import UnitOfWork
from application.retrying import retry_conflicts, with_concurrent_additions
from application.use_case import TimedUseCase
from domain.entity import Entity, Stamp
from domain.errors import AlreadyExists, Conflict, VersionConflict

E = TypeVar("E", bound=Entity)

NEXT_INSTANT = timedelta(milliseconds=1)
NAME_TAKEN = "Another one has this name by now; give that one another name, then restore this one."
"""The unique values that a restored entity can lose to another are names."""
INSTANTS_MAX = 10
"""How far, in milliseconds, the stamp of a deletion may be ahead of the clock."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceType(Generic[E]):
    """How the entities of one collection are deleted, restored and rolled back.

    `load_for_change` loads an entity or raises if the actor may not change it. `delete_content` moves its live content
    to the trash, and `restore_content` restores what was deleted with it: the content under the same stamp, which
    `trashed_content` finds. `check` raises for an earlier version (present, rolled back) that refers to something that
    no longer exists. `update_content` brings the copies of the entity's fields in its content up to date (before,
    after); without a state before, it corrects every copy that differs.
    """

    collection: str
    repository: Callable[[UnitOfWork], Repository[E]]
    load_for_change: Callable[[UnitOfWork, Actor, str], Awaitable[E]]
    delete_content: Callable[[UnitOfWork, str, Stamp], Awaitable[None]] | None = None
    restore_content: Callable[[UnitOfWork, E, Stamp], Awaitable[None]] | None = None
    trashed_content: Callable[[UnitOfWork, str, Stamp], Awaitable[Sequence[Entity]]] | None = None
    check: Callable[[UnitOfWork, Actor, E, E], Awaitable[None]] | None = None
    update_content: Callable[[UnitOfWork, E | None, E, Stamp], Awaitable[None]] | None = None

    async def present(self, work: UnitOfWork, id: str) -> E | None:
        """The entity, if it exists; the commit fails if it changes meanwhile."""
        entities = self.repository(work)
        present = await entities.find(id)
        if present is not None:
            entities.require_unchanged(present)
        return present

    async def update_additions(self, work: UnitOfWork, id: str, stamp: Stamp) -> None:
        """Updates content that was added while the entity changed."""
        present = await self.present(work, id)
        if self.update_content is not None and present is not None:
            await self.update_content(work, None, present, stamp)


def concerns_resource(
    conflict: VersionConflict, use_case: Any, _actor: Actor, id: str, *_args: object, **_kwargs: object
) -> bool:
    """Whether the conflict is about the entity that the use case was called for."""
    return conflict.concerns(use_case.resource.collection, id)


class Delete(TimedUseCase, Generic[E]):
    """Moves an entity with its live content to the trash in one change set. `expected_version` None accepts any
    version.

    Content that others add meanwhile follows in a second change set under the same stamp, and is restored with it.
    """

    resource: ClassVar[ResourceType[Any]]

    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> E:
        stamp = await self._unused_stamp(actor, id)
        if self.resource.delete_content is None:
            return await self._delete(actor, id, stamp, expected_version)
        return await with_concurrent_additions(
            lambda: self._delete(actor, id, stamp, expected_version),
            self.begin,
            actor,
            lambda work: self._delete_additions(work, id, stamp),
        )

    async def _unused_stamp(self, actor: Actor, id: str) -> Stamp:
        """The present stamp, or the next one under which no content of the entity is in the trash: content that was
        deleted earlier must not be restored with it.
        """
        stamp = self.stamp(actor)
        for _ in range(INSTANTS_MAX):
            trashed = self.resource.trashed_content
            if trashed is None or not await trashed(self.begin(actor), id, stamp):
                return stamp
            stamp = replace(stamp, at=stamp.at + NEXT_INSTANT)
        raise Conflict("Parts of this were deleted only just now; try again in a moment.")

    @retry_conflicts(unless=concerns_resource)
    async def _delete(self, actor: Actor, id: str, stamp: Stamp, expected_version: int | None) -> E:
        work = self.begin(actor)
        present: E = await self.resource.load_for_change(work, actor, id)
        present.require_version(expected_version)
        deleted = present.delete(stamp)
        self.resource.repository(work).save(deleted)
        if self.resource.delete_content is not None:
            await self.resource.delete_content(work, id, stamp)
        await work.commit()
        return deleted

    async def _delete_additions(self, work: UnitOfWork, id: str, stamp: Stamp) -> None:
        """Deletes added content, unless the entity has been restored since: then the content stays live with it."""
        present = await self.resource.present(work, id)
        if self.resource.delete_content is not None and present is not None and present.trash_stamp == stamp:
            await self.resource.delete_content(work, id, stamp)


async def changed_since(since: datetime, repository: Callable[[], Repository[E]]) -> AsyncIterator[E]:
    """All entities that changed since a time, the latest first, each page from a unit of work of its own."""
    page: PageRequest | None = PageRequest(limit=LIMIT_MAX, sort=Sort("updatedAt", descending=True))
    while page is not None:
        found = await repository().changed_since(since, page)
        for entity in found.items:
            yield entity
        page = None if found.next is None else replace(page, after=found.next)


class Finish(TimedUseCase, Generic[E]):
    """Completes deletions and ownership changes that a crash interrupted between their two change sets.

    It reads every entity that changed since a time, page by page, and changes nothing where nothing is missing.
    """

    resource: ClassVar[ResourceType[Any]]

    async def __call__(self, actor: Actor, *, since: datetime) -> None:
        async for entity in changed_since(since, lambda: self.resource.repository(self.begin(actor))):
            await self._finish(actor, entity.id)

    @retry_conflicts()
    async def _finish(self, actor: Actor, id: str) -> None:
        work = self.begin(actor)
        present = await self.resource.present(work, id)
        if present is None:
            return
        if present.trash_stamp is None:
            if self.resource.update_content is not None:
                await self.resource.update_content(work, None, present, self.stamp(actor))
        elif self.resource.delete_content is not None:
            # Under the entity's own stamp, so that the content is restored with it.
            await self.resource.delete_content(work, id, present.trash_stamp)
        await work.commit()


class Restore(TimedUseCase, Generic[E]):
    """Restores an entity with the content that was deleted with it. `expected_version` None accepts any version.

    Raises AlreadyExists if another entity has taken a unique value of it.
    """

    resource: ClassVar[ResourceType[Any]]

    @retry_conflicts(unless=concerns_resource)
    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> E:
        work = self.begin(actor)
        deleted: E = await self.resource.load_for_change(work, actor, id)
        deleted.require_version(expected_version)
        stamp = self.stamp(actor)
        restored = deleted.restore(stamp)
        self.resource.repository(work).save(restored)
        if self.resource.restore_content is not None:
            await self.resource.restore_content(work, deleted, stamp)
        try:
            await work.commit()
        except AlreadyExists as taken:
            raise AlreadyExists(NAME_TAKEN, fields=taken.fields) from taken
        return restored
