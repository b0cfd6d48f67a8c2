"""Earlier versions, alike for everything that has them: put back as a new one, unless what they point at is gone."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from application.actor import Actor
from application.ports.clock import Clock
from application.ports.repositories import Repository
from application.ports.unit_of_work import Begin
from application.retrying import retry_conflicts, with_concurrent_additions
from application.trash import Kind, concerns_resource
from domain.audit import Action
from domain.entity import Entity, Stamp
from domain.errors import Fault

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

        def roll_back() -> Awaitable[E]:
            return self._roll_back(actor, id, stamp, version=version, expected_version=expected_version)

        if self.kind.move_content is None:
            return await roll_back()
        return await with_concurrent_additions(
            roll_back, self.begin, actor, lambda work: self.kind.move_latecomers(work, id, stamp)
        )

    @retry_conflicts(unless=concerns_resource)
    async def _roll_back(
        self, actor: Actor, id: str, stamp: Stamp, *, version: int, expected_version: int | None
    ) -> E:
        work = self.begin(actor)
        present: E = await self.kind.reach(work, actor, id)
        present.require_version(expected_version)
        earlier: E = await self.kind.of(work).at_version(id, version)
        rolled_back = present.roll_back_to(earlier, stamp)
        if self.kind.check is not None:
            await self.kind.check(work, actor, present, rolled_back)
        self.kind.of(work).save(rolled_back, action=Action.ROLLED_BACK)
        if self.kind.move_content is not None:
            await self.kind.move_content(work, present, rolled_back, stamp)
        await work.commit()
        return rolled_back


async def missing_faults(
    repository: Repository[Any], pointers: Mapping[str, str], otherwise: str
) -> list[Fault]:
    """A fault for each pointer (with the id that stands there) to something that is not there: removed for good, or
    what is said otherwise.
    """
    gone = await repository.purged(pointers.values()) if pointers else ()
    return [
        Fault(pointer, "was removed for good" if id in gone else otherwise)
        for pointer, id in pointers.items()
    ]
