"""Roles: everybody reads them, administrators make and change them, Tandem brings its own."""

from dataclasses import dataclass

from application.access import require_present_admin
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.clock import Clock
from application.ports.identifiers import Identifiers
from application.ports.unit_of_work import Begin, UnitOfWork
from application.retrying import retry_conflicts
from domain.entity import Stamp
from domain.errors import Conflict
from domain.role import BUILT_IN_ROLE_IDS, BUILT_IN_ROLES, BuiltIn, Role, RoleChanges, RoleScope, built_in_id


@dataclass(frozen=True, slots=True)
class CreateRole:
    """A new role. Raises AlreadyExists where its scope has one of that name."""

    begin: Begin
    clock: Clock
    identifiers: Identifiers

    @retry_conflicts()
    async def __call__(self, actor: Actor, scope: RoleScope, changes: RoleChanges) -> Role:
        work = self.begin(actor)
        await require_present_admin(work, actor)
        stamp = Stamp(self.clock.now(), actor.id)
        role = Role.create(self.identifiers.fresh(), stamp, scope=scope, changes=changes)
        work.roles.save(role)
        await work.commit()
        return role


@dataclass(frozen=True, slots=True)
class GetRole:
    """One role, also one that was retired, also as it was."""

    begin: Begin

    async def __call__(self, actor: Actor, id: str, *, version: int | None = None) -> Role:
        roles = self.begin(actor).roles
        return await (roles.get(id) if version is None else roles.at_version(id, version))


@dataclass(frozen=True, slots=True)
class ListRoles:
    """The roles of a scope, or of both."""

    begin: Begin

    async def __call__(self, actor: Actor, scope: RoleScope | None, page: PageRequest) -> Page[Role]:
        return await self.begin(actor).roles.matching(scope, page)


@dataclass(frozen=True, slots=True)
class EditRole:
    """Changes a role for everybody who holds it. `expected_version` None means whichever is current."""

    begin: Begin
    clock: Clock

    @retry_conflicts(unless="roles")
    async def __call__(
        self, actor: Actor, id: str, changes: RoleChanges, *, expected_version: int | None
    ) -> Role:
        work = self.begin(actor)
        await require_present_admin(work, actor)
        role = await work.roles.get(id)
        role.require_version(expected_version)
        edited = role.edit(Stamp(self.clock.now(), actor.id), changes)
        work.roles.save(edited)
        await work.commit()
        return edited


@dataclass(frozen=True, slots=True)
class DeleteRole:
    """Retires a role: it counts nowhere any more, although members keep the reference to it."""

    begin: Begin
    clock: Clock

    @retry_conflicts(unless="roles")
    async def __call__(self, actor: Actor, id: str, *, expected_version: int | None) -> Role:
        work = self.begin(actor)
        await require_present_admin(work, actor)
        role = await work.roles.get(id)
        role.require_version(expected_version)
        retired = role.retire(Stamp(self.clock.now(), actor.id))
        work.roles.save(retired)
        await work.commit()
        return retired


@dataclass(frozen=True, slots=True)
class SeedRoles:
    """Adds those built-in roles that are missing, in one change set; does nothing where another process was faster."""

    begin: Begin
    clock: Clock

    async def __call__(self, actor: Actor) -> None:
        work = self.begin(actor)
        missing = await _missing(work)
        if not missing:
            return
        stamp = Stamp(self.clock.now(), actor.id)
        for definition in missing:
            work.roles.save(Role.built_in(stamp, definition))
        try:
            await work.commit()
        except Conflict:
            # Another process may have been faster; anything else is worth telling.
            if await _missing(self.begin(actor)):
                raise


async def _missing(work: UnitOfWork) -> list[BuiltIn]:
    known = await work.roles.get_many(BUILT_IN_ROLE_IDS)
    return [
        definition for definition in BUILT_IN_ROLES if built_in_id(definition[0], definition[1]) not in known
    ]
