"""Earlier versions, alike for everything that has them: put back as a new one, unless what they point at is gone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from application.actor import Actor
from application.ports.clock import Clock
from application.ports.repositories import Repository
from application.ports.unit_of_work import Begin, UnitOfWork
from application.retrying import repeated, with_latecomers
from application.trash import Kind
from domain.audit import Action
from domain.entity import Entity, Stamp
from domain.errors import VersionConflict, Violation

E = TypeVar("E", bound=Entity)


@dataclass(frozen=True, slots=True)
class RollBack(Generic[E]):
    """The content of an earlier version as a new version. `expected_version` None means whichever is current.

    Raises RuleBroken, with a pointer to each, where that content points at what is not there any more.
    """

    begin: Begin
    clock: Clock
    kind: ClassVar[Kind[Any]]

    async def __call__(self, actor: Actor, id: str, *, version: int, expected_version: int | None) -> E:
        stamp = Stamp(self.clock.now(), actor.id)
        moved: list[E] = []

        async def attempt() -> E:
            work = self.begin(actor)
            thing: E = await self.kind.reach(work, actor, id)
            thing.require_version(expected_version)
            rolled_back = await self._rolled_back(work, actor, thing, version=version, stamp=stamp)
            move = self.kind.move_content
            if move is not None and await move(work, thing, rolled_back, stamp):
                moved.append(rolled_back)
            await work.commit()
            return rolled_back

        async def follow(work: UnitOfWork) -> None:
            if moved:
                await self.kind.move_latecomers(work, id, stamp)

        def is_of_others(conflict: VersionConflict) -> bool:
            return not conflict.concerns(self.kind.collection, id)

        return await with_latecomers(lambda: repeated(attempt, where=is_of_others), self.begin, actor, follow)

    async def _rolled_back(
        self, work: UnitOfWork, actor: Actor, thing: E, *, version: int, stamp: Stamp
    ) -> E:
        earlier: E = await self.kind.of(work).at_version(thing.id, version)
        rolled_back = thing.roll_back_to(earlier, stamp)
        if self.kind.check is not None:
            await self.kind.check(work, actor, thing, rolled_back)
        self.kind.of(work).save(rolled_back, action=Action.ROLLED_BACK)
        return rolled_back


async def missing_violations(
    repository: Repository[Any], pointers: Mapping[str, str], otherwise: str
) -> list[Violation]:
    """A violation for each pointer (with the id that stands there) to something that is not there: removed for good, or
    what is said otherwise.
    """
    gone = await repository.purged(pointers.values()) if pointers else ()
    return [
        Violation(pointer, "was removed for good" if id in gone else otherwise)
        for pointer, id in pointers.items()
    ]
