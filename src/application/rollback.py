"""Rolling back to an earlier version, for every resource: its content becomes a new version."""

from collections.abc import Awaitable, Mapping
from typing import Any, ClassVar, Generic, TypeVar

from application.actor import Actor
from application.ports.repositories import Repository
from application.retrying import retry_conflicts, with_concurrent_additions
from application.trash import ResourceType, concerns_resource
from application.use_case import TimedUseCase
from domain.audit import Action
from domain.entity import Entity, Stamp
from domain.errors import Violation

E = TypeVar("E", bound=Entity)


class RollBack(TimedUseCase, Generic[E]):
    """Stores the content of an earlier version as a new version. `expected_version` None accepts any version.

    Raises RuleBroken with a pointer for every reference of that content that no longer exists.
    """

    resource: ClassVar[ResourceType[Any]]

    async def __call__(self, actor: Actor, id: str, *, version: int, expected_version: int | None) -> E:
        stamp = self.stamp(actor)

        def roll_back() -> Awaitable[E]:
            return self._roll_back(actor, id, stamp, version=version, expected_version=expected_version)

        if self.resource.update_content is None:
            return await roll_back()
        return await with_concurrent_additions(
            roll_back, self.begin, actor, lambda work: self.resource.update_additions(work, id, stamp)
        )

    @retry_conflicts(unless=concerns_resource)
    async def _roll_back(
        self, actor: Actor, id: str, stamp: Stamp, *, version: int, expected_version: int | None
    ) -> E:
        work = self.begin(actor)
        repository = self.resource.repository(work)
        present: E = await self.resource.load_for_change(work, actor, id)
        present.require_version(expected_version)
        rolled_back = present.roll_back_to(await repository.at_version(id, version), stamp)
        if self.resource.check is not None:
            await self.resource.check(work, actor, present, rolled_back)
        repository.save(rolled_back, action=Action.ROLLED_BACK)
        if self.resource.update_content is not None:
            await self.resource.update_content(work, present, rolled_back, stamp)
        await work.commit()
        return rolled_back


async def missing_violations(
    repository: Repository[Any], pointers: Mapping[str, str], otherwise: str
) -> list[Violation]:
    """A violation for each pointer (with its missing id): "was permanently removed" or the other message."""
    gone = await repository.purged(pointers.values()) if pointers else ()
    return [
        Violation(pointer, "was permanently removed" if id in gone else otherwise)
        for pointer, id in pointers.items()
    ]
