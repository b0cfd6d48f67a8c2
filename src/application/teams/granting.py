"""Who holds which role: everywhere, as grants of an account, and in teams, as roles of a membership."""

from collections.abc import Iterable
from dataclasses import dataclass

from application.access import require, require_allowed, require_present_admin, with_memberships
from application.actor import Actor
from application.ports.clock import Clock
from application.ports.unit_of_work import Begin, UnitOfWork
from application.retrying import retry_conflicts
from application.teams.access import RolesHeld, RolesInTeam, member_of, names_version, seen_team
from domain.entity import Stamp
from domain.errors import Conflict, Fault, NotFound, RuleBroken
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
    """What a global role gives to an account."""
    return frozenset(str(GRANT_OF[permission]) for permission in role.permissions)


@dataclass(frozen=True, slots=True)
class ListRolesOfUser:
    """What a user holds. He and administrators see all of it, others what he holds in teams of theirs.

    A global role counts as held where the account has every grant that it gives.
    """

    begin: Begin

    async def __call__(self, actor: Actor, user_id: str) -> RolesHeld:
        work = self.begin(actor)
        user = await work.users.get(user_id)
        memberships = await work.memberships.of_user(user_id)
        principal = await with_memberships(work, actor, [one.team_id for one in memberships])
        shown = [one for one in memberships if may_see_team_roles(principal, user_id, one.team_id)]
        sees_global = may_see_global_roles(principal, user_id)
        is_his_business = bool(shown) or sees_global or sees_everything(actor.grants)
        require(is_his_business, "What somebody holds is shown to those who share a team with him.")
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
    """A live role of this scope. Raises NotFound, or RuleBroken for one of the other scope."""
    role = await work.roles.get(role_id)
    if role.is_deleted:
        raise NotFound("This role was retired.")
    _require_scope(role, scope)
    return role


def _require_scope(role: Role, scope: RoleScope) -> None:
    if role.scope is not scope:
        place = "in teams" if role.scope is RoleScope.TEAM else "in the whole installation"
        raise RuleBroken(
            f"This role is held {place}.", faults=[Fault("/roleId", f"is a role of scope {role.scope}")]
        )


@dataclass(frozen=True, slots=True)
class GrantGlobalRole:
    """Gives a user what a global role allows; administrators only. `expected_version` is the account's."""

    begin: Begin
    clock: Clock

    @retry_conflicts(unless="users")
    async def __call__(
        self, actor: Actor, user_id: str, role_id: str, *, expected_version: int | None
    ) -> User:
        work = self.begin(actor)
        await require_present_admin(work, actor)
        user = await work.users.get(user_id)
        user.require_version(expected_version)
        user.require_live()
        role = await _role(work, role_id, scope=RoleScope.GLOBAL)
        work.roles.rely_on(role)
        granted = user.holding(Stamp(self.clock.now(), actor.id), {*user.grants, *_grants_of(role)})
        work.users.save(granted)
        await work.commit()
        return granted


@dataclass(frozen=True, slots=True)
class TakeGlobalRole:
    """Takes from a user what a global role allows; administrators only. Raises Conflict for the last administrator."""

    begin: Begin
    clock: Clock

    @retry_conflicts(unless="users")
    async def __call__(
        self, actor: Actor, user_id: str, role_id: str, *, expected_version: int | None
    ) -> User:
        work = self.begin(actor)
        await require_present_admin(work, actor)
        user = await work.users.get(user_id)
        user.require_version(expected_version)
        user.require_live()
        role = await work.roles.get(role_id)
        _require_scope(role, RoleScope.GLOBAL)
        left = user.holding(Stamp(self.clock.now(), actor.id), {*user.grants} - _grants_of(role))
        if Grant.ADMIN in user.grants and Grant.ADMIN not in left.grants:
            await _rely_on_another_administrator(work, user_id)
        work.users.save(left)
        await work.commit()
        return left


async def _rely_on_another_administrator(work: UnitOfWork, user_id: str) -> None:
    """The commit fails if the one who remains is no administrator either by then. Raises Conflict for the last one."""
    others = [user for user in await work.users.holding(Grant.ADMIN) if user.id != user_id]
    if not others:
        raise Conflict("This is the last administrator; make somebody else one first.")
    work.users.rely_on(others[0])


@dataclass(frozen=True, slots=True)
class GrantTeamRole:
    """Gives a member a role in a team. Nobody gives what he does not hold there himself. `expected_version` is the
    membership's; None means whichever is current.
    """

    begin: Begin
    clock: Clock

    @retry_conflicts(unless=names_version)
    async def __call__(
        self, actor: Actor, team_id: str, user_id: str, role_id: str, *, expected_version: int | None = None
    ) -> Membership:
        work = self.begin(actor)
        membership = await _grantee(work, actor, team_id, user_id)
        role = await _role(work, role_id, scope=RoleScope.TEAM)
        await _require_granting(work, actor, team_id, role)
        membership.require_version(expected_version)
        changed = membership.with_role(Stamp(self.clock.now(), actor.id), role_id)
        work.memberships.save(changed)
        await work.commit()
        return changed


@dataclass(frozen=True, slots=True)
class TakeTeamRole:
    """Takes a role in a team from a member, also one that was retired. Nobody takes what he does not hold himself.
    `expected_version` is the membership's; None means whichever is current.
    """

    begin: Begin
    clock: Clock

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
        changed = membership.without_role(Stamp(self.clock.now(), actor.id), role_id)
        work.memberships.save(changed)
        await work.commit()
        return changed


async def _grantee(work: UnitOfWork, actor: Actor, team_id: str, user_id: str) -> Membership:
    """The membership whose roles are to change. Raises NotFound, or Conflict for a team in the trash."""
    team, _ = await seen_team(work, actor, team_id)
    team.require_live()
    return await member_of(work, team_id, user_id)


async def _require_granting(work: UnitOfWork, actor: Actor, team_id: str, role: Role) -> None:
    """The commit relies on the role and on what the actor holds. Raises Conflict for the roles that come with
    belonging to a team and with owning it, Forbidden where the role is not the actor's to give.
    """
    if role.id in MEMBERSHIP_ROLE_IDS:
        raise Conflict("This role comes with the team: with belonging to it, or with owning it.")
    team, _ = await seen_team(work, actor, team_id)
    await require_allowed(
        work,
        actor,
        lambda principal: may_grant(principal, team, role.permissions),
        teams=[team_id],
        message="Roles are given and taken by who grants roles here and holds what they allow.",
    )
    work.roles.rely_on(role)
