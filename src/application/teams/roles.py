"""Roles: everybody reads them, administrators manage them, Tandem has built-in ones."""

from dataclasses import dataclass

from application.access import require_present_admin
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.identifiers import Identifiers
from application.ports.unit_of_work import UnitOfWork
from application.retrying import retry_conflicts
from application.use_case import TimedUseCase, UseCase
from domain.errors import Conflict
from domain.role import BUILT_IN_ROLE_IDS, BUILT_IN_ROLES, BuiltIn, Role, RoleChanges, RoleScope, built_in_id


@dataclass(frozen=True, slots=True)
class CreateRole(TimedUseCase):
    """Creates a role. Raises AlreadyExists if its scope has a role of that name."""

    identifiers: Identifiers

    @retry_conflicts()
    async def __call__(self, actor: Actor, scope: RoleScope, changes: RoleChanges) -> Role:
        work = self.begin(actor)
        await require_present_admin(work, actor)
        stamp = self.stamp(actor)
        role = Role.create(self.identifiers.fresh(), stamp, scope=scope, changes=changes)
        work.roles.save(role)
        await work.commit()
        return role


class GetRole(UseCase):
    """One role, live or deleted, at present or at an earlier version."""

    async def __call__(self, actor: Actor, id: str, *, version: int | None = None) -> Role:
        roles = self.begin(actor).roles
        return await (roles.get(id) if version is None else roles.at_version(id, version))


class ListRoles(UseCase):
    """The roles of a scope, or of both."""

    async def __call__(self, actor: Actor, scope: RoleScope | None, page: PageRequest) -> Page[Role]:
        return await self.begin(actor).roles.matching(scope, page)


class EditRole(TimedUseCase):
    """Changes a role for everybody who holds it. `expected_version` None accepts any version."""

    @retry_conflicts(unless="roles")
    async def __call__(
        self, actor: Actor, id: str, changes: RoleChanges, *, expected_version: int | None
    ) -> Role:
        work = self.begin(actor)
        await require_present_admin(work, actor)
        role = await work.roles.get(id)
        role.require_version(expected_version)
        edited = role.edit(self.stamp(actor), changes)
        work.roles.save(edited)
        await work.commit()
        return edited


class DeleteRole(TimedUseCase):
    """Deletes a role: it no longer grants anything, although members keep the reference to it."""

    @retry_conflicts(unless="roles")
    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> Role:
        work = self.begin(actor)
        await require_present_admin(work, actor)
        role = await work.roles.get(id)
        role.require_version(expected_version)
        retired = role.retire(self.stamp(actor))
        work.roles.save(retired)
        await work.commit()
        return retired


class SeedRoles(TimedUseCase):
    """Adds the missing built-in roles in one change set; does nothing if another process was faster."""

    async def __call__(self, actor: Actor) -> None:
        work = self.begin(actor)
        missing = await _missing(work)
        if not missing:
            return
        stamp = self.stamp(actor)
        for definition in missing:
            work.roles.save(Role.built_in(stamp, definition))
        try:
            await work.commit()
        except Conflict:
            # Another process may have been faster; any other conflict is an error.
            if await _missing(self.begin(actor)):
                raise


async def _missing(work: UnitOfWork) -> list[BuiltIn]:
    known = await work.roles.get_many(BUILT_IN_ROLE_IDS)
    return [
        definition for definition in BUILT_IN_ROLES if built_in_id(definition[0], definition[1]) not in known
    ]
