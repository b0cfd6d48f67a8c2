"""Granting and revoking roles: global ones as grants of an account, team roles as roles of a membership."""

from abc import abstractmethod
from collections.abc import Iterable

from application.access import require, require_allowed, require_present_admin, with_memberships
from application.actor import Actor
from application.ports.unit_of_work import UnitOfWork
from application.retrying import retry_conflicts
from application.teams.access import RolesHeld, RolesInTeam, member_of, names_version, visible_team
from application.use_case import TimedUseCase, UseCase
from domain.errors import Conflict, NotFound, RuleBroken, Violation
from domain.permissions import (
    GRANT_OF,
    Grant,
    may_grant,
    may_see_global_roles,
    may_see_team_roles,
    sees_everything,
)
from domain.role import Role, RoleScope
from domain.team import MEMBERSHIP_ROLE_IDS, Membership
from domain.user import User


def _grants_of(role: Role) -> frozenset[str]:
    """The grants that a global role gives to an account."""
    return frozenset(str(GRANT_OF[permission]) for permission in role.permissions)


class ListRolesOfUser(UseCase):
    """The roles of a user. The user and administrators see all of them, others those in common teams.

    A global role is listed if the account has every grant that the role gives.
    """

    async def __call__(self, actor: Actor, user_id: str) -> RolesHeld:
        work = self.begin(actor)
        user = await work.users.get(user_id)
        memberships = await work.memberships.of_user(user_id)
        principal = await with_memberships(work, actor, [one.team_id for one in memberships])
        shown = [one for one in memberships if may_see_team_roles(principal, user_id, one.team_id)]
        sees_global = may_see_global_roles(principal, user_id)
        is_visible = bool(shown) or sees_global or sees_everything(actor.grants)
        require(is_visible, "You can only see the roles of users who share a team with you.")
        return RolesHeld(
            await _global_roles(work, user) if sees_global else None,
            await _team_roles(work, shown),
        )


async def _global_roles(work: UnitOfWork, user: User) -> list[Role]:
    roles = await work.roles.of_scope(RoleScope.GLOBAL)
    held = [role for role in roles if _grants_of(role).issubset(user.grants)]
    return sorted(held, key=lambda role: role.name)


async def _team_roles(work: UnitOfWork, memberships: Iterable[Membership]) -> list[RolesInTeam]:
    by_team = {one.team_id: one.role_ids for one in memberships}
    roles = await work.roles.get_many(role_id for role_ids in by_team.values() for role_id in role_ids)
    live = {id_: role for id_, role in roles.items() if not role.is_deleted}
    return [
        RolesInTeam(team_id, [live[role_id] for role_id in by_team[team_id] if role_id in live])
        for team_id in sorted(by_team)
    ]


async def _role(work: UnitOfWork, role_id: str, *, scope: RoleScope) -> Role:
    """A live role of this scope. Raises NotFound, or RuleBroken for a role of the other scope."""
    role = await work.roles.get(role_id)
    if role.is_deleted:
        raise NotFound("This role was deleted.")
    _require_scope(role, scope)
    return role


def _require_scope(role: Role, scope: RoleScope) -> None:
    if role.scope is not scope:
        place = "in teams" if role.scope is RoleScope.TEAM else "in the whole installation"
        raise RuleBroken(
            f"This role can only be held {place}.",
            violations=[Violation("/roleId", f"is a role of scope {role.scope}")],
        )


class _ChangeGrants(TimedUseCase):
    @retry_conflicts(unless="users")
    async def __call__(
        self, actor: Actor, user_id: str, role_id: str, *, expected_version: int | None
    ) -> User:
        work = self.begin(actor)
        await require_present_admin(work, actor)
        user = await work.users.get(user_id)
        user.require_version(expected_version)
        user.require_live()
        changed = user.holding(self.stamp(actor), await self._grants(work, user, role_id))
        if Grant.ADMIN in user.grants and Grant.ADMIN not in changed.grants:
            await _require_another_administrator(work, user_id)
        work.users.save(changed)
        await work.commit()
        return changed

    @abstractmethod
    async def _grants(self, work: UnitOfWork, user: User, role_id: str) -> set[str]: ...


class GrantGlobalRole(_ChangeGrants):
    """Grants a global role to a user; administrators only. `expected_version` is that of the account."""

    async def _grants(self, work: UnitOfWork, user: User, role_id: str) -> set[str]:
        role = await _role(work, role_id, scope=RoleScope.GLOBAL)
        work.roles.require_unchanged(role)
        return {*user.grants, *_grants_of(role)}


class TakeGlobalRole(_ChangeGrants):
    """Revokes a global role; administrators only. Raises Conflict for the last administrator."""

    async def _grants(self, work: UnitOfWork, user: User, role_id: str) -> set[str]:
        role = await work.roles.get(role_id)
        _require_scope(role, RoleScope.GLOBAL)
        return {*user.grants} - _grants_of(role)


async def _require_another_administrator(work: UnitOfWork, user_id: str) -> None:
    """Raises Conflict if there is no other administrator, now or at the commit."""
    others = [user for user in await work.users.holding(Grant.ADMIN) if user.id != user_id]
    if not others:
        raise Conflict("This is the last administrator; make another user an administrator first.")
    work.users.require_unchanged(others[0])


class GrantTeamRole(TimedUseCase):
    """Grants a team role to a member. `expected_version` is that of the membership; None accepts any version.

    The actor must hold all permissions of the role in the team.
    """

    @retry_conflicts(unless=names_version)
    async def __call__(
        self, actor: Actor, team_id: str, user_id: str, role_id: str, *, expected_version: int | None = None
    ) -> Membership:
        work = self.begin(actor)
        membership = await _grantee(work, actor, team_id, user_id)
        role = await _role(work, role_id, scope=RoleScope.TEAM)
        await _require_granting(work, actor, team_id, role)
        membership.require_version(expected_version)
        changed = membership.with_role(self.stamp(actor), role_id)
        work.memberships.save(changed)
        await work.commit()
        return changed


class TakeTeamRole(TimedUseCase):
    """Revokes a team role, also a deleted one. `expected_version` is that of the membership; None accepts any version.

    The actor must hold all permissions of the role in the team.
    """

    @retry_conflicts(unless=names_version)
    async def __call__(
        self, actor: Actor, team_id: str, user_id: str, role_id: str, *, expected_version: int | None = None
    ) -> Membership:
        work = self.begin(actor)
        membership = await _grantee(work, actor, team_id, user_id)
        role = await work.roles.get(role_id)
        _require_scope(role, RoleScope.TEAM)
        await _require_granting(work, actor, team_id, role)
        membership.require_version(expected_version)
        changed = membership.without_role(self.stamp(actor), role_id)
        work.memberships.save(changed)
        await work.commit()
        return changed


async def _grantee(work: UnitOfWork, actor: Actor, team_id: str, user_id: str) -> Membership:
    """The membership whose roles change. Raises NotFound, or Conflict for a team in the trash."""
    team, _ = await visible_team(work, actor, team_id)
    team.require_live()
    return await member_of(work, team_id, user_id)


async def _require_granting(work: UnitOfWork, actor: Actor, team_id: str, role: Role) -> None:
    """Raises Conflict for the roles of membership and ownership, Forbidden unless the actor may grant the role, now and
    at the commit.
    """
    if role.id in MEMBERSHIP_ROLE_IDS:
        raise Conflict("This role follows from membership or ownership; it cannot be granted or revoked.")
    team, _ = await visible_team(work, actor, team_id)
    await require_allowed(
        work,
        actor,
        lambda principal: may_grant(principal, team, role.permissions),
        teams=[team_id],
        message="You can only grant or revoke roles whose permissions you hold in this team.",
    )
    work.roles.require_unchanged(role)
