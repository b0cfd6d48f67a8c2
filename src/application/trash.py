"""The trash, alike for everything that has one: in, with what belongs to it, and out, with what went there with it.

Each noun describes itself once as a `Kind`; its use cases inherit from here and from `application.rollback`.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Generic, TypeVar

from application.actor import Actor
from application.paging import LIMIT_MAX, PageRequest, Sort
from application.ports.clock import Clock
from application.ports.repositories import Repository
from application.ports.unit_of_work import Begin, UnitOfWork
from application.retrying import retry_conflicts, with_concurrent_additions
from domain.entity import Entity, Stamp
from domain.errors import Conflict, VersionConflict

E = TypeVar("E", bound=Entity)

NEXT_INSTANT = timedelta(milliseconds=1)
INSTANTS_MAX = 10
"""How many instants somebody may use up ahead of the clock before he has to wait for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[E]):
    """What one kind of thing says about itself.

    `reach` loads one for somebody who means to change it, or refuses. `delete_content` moves what is live in it into
    the trash, `restore_content` brings back what went there with it: under the same stamp, by which `trashed_content`
    finds it. `check` refuses content (as it is, as it would be) that points at what is not there. `move_content` takes
    along what repeats where a thing belongs, and answers whether that changed; without a state before, it moves
    whatever is elsewhere.
    """

    collection: str
    of: Callable[[UnitOfWork], Repository[E]]
    reach: Callable[[UnitOfWork, Actor, str], Awaitable[E]]
    delete_content: Callable[[UnitOfWork, str, Stamp], Awaitable[None]] | None = None
    restore_content: Callable[[UnitOfWork, E, Stamp], Awaitable[None]] | None = None
    trashed_content: Callable[[UnitOfWork, str, Stamp], Awaitable[Sequence[Entity]]] | None = None
    check: Callable[[UnitOfWork, Actor, E, E], Awaitable[None]] | None = None
    move_content: Callable[[UnitOfWork, E | None, E, Stamp], Awaitable[bool]] | None = None

    async def move_latecomers(self, work: UnitOfWork, id: str, stamp: Stamp) -> None:
        """Takes along what joined while the thing moved, to where it belongs at present."""
        if self.move_content is not None:
            present = await self.of(work).get(id)
            self.of(work).rely_on(present)
            await self.move_content(work, None, present, stamp)


def concerns_resource(
    conflict: VersionConflict, use_case: Any, _actor: Actor, id: str, *_args: object, **_kwargs: object
) -> bool:
    """Whether the conflict is about the entity that the use case was called for."""
    return conflict.concerns(use_case.kind.collection, id)


@dataclass(frozen=True, slots=True)
class Delete(Generic[E]):
    """Into the trash, with what is live in it, in one change set. `expected_version` None means whichever is current.

    What joins it in that very moment follows in a second one, under the same stamp, and comes back with it.
    """

    begin: Begin
    clock: Clock
    kind: ClassVar[Kind[Any]]

    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> E:
        stamp = await self._unused_stamp(actor, id)
        if self.kind.delete_content is None:
            return await self._delete(actor, id, stamp, expected_version)
        return await with_concurrent_additions(
            lambda: self._delete(actor, id, stamp, expected_version),
            self.begin,
            actor,
            lambda work: self._follow(work, id, stamp),
        )

    async def _unused_stamp(self, actor: Actor, id: str) -> Stamp:
        """Now, or the next instant under which the actor moved nothing of it into the trash before: what lies there
        already must not come back with it.
        """
        stamp = Stamp(self.clock.now(), actor.id)
        for _ in range(INSTANTS_MAX):
            trashed = self.kind.trashed_content
            if trashed is None or not await trashed(self.begin(actor), id, stamp):
                return stamp
            stamp = replace(stamp, at=stamp.at + NEXT_INSTANT)
        raise Conflict("Parts of this went to the trash at this very moment; try again.")

    @retry_conflicts(unless=concerns_resource)
    async def _delete(self, actor: Actor, id: str, stamp: Stamp, expected_version: int | None) -> E:
        work = self.begin(actor)
        thing: E = await self.kind.reach(work, actor, id)
        thing.require_version(expected_version)
        deleted = thing.delete(stamp)
        self.kind.of(work).save(deleted)
        if self.kind.delete_content is not None:
            await self.kind.delete_content(work, id, stamp)
        await work.commit()
        return deleted

    async def _follow(self, work: UnitOfWork, id: str, stamp: Stamp) -> None:
        """Moves what joined late, unless somebody has restored the thing since: then all that is live belongs there."""
        things = self.kind.of(work)
        present = (await things.get_many([id])).get(id)
        if self.kind.delete_content is not None and present is not None and present.trash_stamp == stamp:
            things.rely_on(present)
            await self.kind.delete_content(work, id, stamp)


async def changed_since(since: datetime, of: Callable[[], Repository[E]]) -> AsyncIterator[E]:
    """Everything that changed since an instant, the newest first, each page from a unit of work of its own."""
    page: PageRequest | None = PageRequest(limit=LIMIT_MAX, sort=Sort("updatedAt", descending=True))
    while page is not None:
        found = await of().changed_since(since, page)
        for thing in found.items:
            yield thing
        page = None if found.next is None else replace(page, after=found.next)


@dataclass(frozen=True, slots=True)
class Finish(Generic[E]):
    """Takes along what should have followed things that moved or went to the trash, where the process died in between.

    Looks at every thing that changed since an instant, a page at a time; changes nothing where all is in place.
    """

    begin: Begin
    clock: Clock
    kind: ClassVar[Kind[Any]]

    async def __call__(self, actor: Actor, *, since: datetime) -> None:
        async for thing in changed_since(since, lambda: self.kind.of(self.begin(actor))):
            await self._finish(actor, thing.id)

    @retry_conflicts()
    async def _finish(self, actor: Actor, id: str) -> None:
        work = self.begin(actor)
        things = self.kind.of(work)
        present = (await things.get_many([id])).get(id)
        if present is None:
            return
        things.rely_on(present)
        if present.trash_stamp is None:
            if self.kind.move_content is not None:
                await self.kind.move_content(work, None, present, Stamp(self.clock.now(), actor.id))
        elif self.kind.delete_content is not None:
            # Under the thing's own stamp, so that a restore brings it back.
            await self.kind.delete_content(work, id, present.trash_stamp)
        await work.commit()


@dataclass(frozen=True, slots=True)
class Restore(Generic[E]):
    """Out of the trash, with exactly what went there with it. `expected_version` None means whichever is current.

    Raises AlreadyExists where a unique value was taken meanwhile.
    """

    begin: Begin
    clock: Clock
    kind: ClassVar[Kind[Any]]

    @retry_conflicts(unless=concerns_resource)
    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> E:
        work = self.begin(actor)
        thing: E = await self.kind.reach(work, actor, id)
        thing.require_version(expected_version)
        stamp = Stamp(self.clock.now(), actor.id)
        restored = thing.restore(stamp)
        self.kind.of(work).save(restored)
        if self.kind.restore_content is not None:
            await self.kind.restore_content(work, thing, stamp)
        await work.commit()
        return restored
