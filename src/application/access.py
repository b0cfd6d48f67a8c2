"""Whether an actor may do something: memberships and permissions, loaded, checked and relied upon by the commit."""

from collections.abc import Callable, Iterable, Sequence

from application.actor import SYSTEM_ID, Actor
from application.ports.repositories import Audience
from application.ports.unit_of_work import UnitOfWork
from domain.errors import Forbidden, NotFound
from domain.permissions import Held, Principal, is_admin
from domain.role import BUILT_IN_ROLES, Permission, Role, built_in_id
from domain.team import Membership, membership_id

Decision = Callable[[Principal], bool]
"""Whether somebody with this principal may do something; who holds more may do no less."""

_BUILT_IN: dict[str, Held] = {
    built_in_id(scope, name): permissions for scope, name, _, permissions in BUILT_IN_ROLES
}

_ADMINS_ONLY = "Only an administrator may do this."


def require(allowed: bool, message: str | None = None) -> None:  # noqa: FBT001 - reads as a sentence
    """Raises Forbidden unless allowed."""
    if not allowed:
        raise Forbidden(message)


def require_visible(visible: bool) -> None:  # noqa: FBT001 - reads as a sentence
    """Raises NotFound unless visible: what somebody must not know of does not exist for him."""
    if not visible:
        raise NotFound


def require_admin(actor: Actor) -> None:
    """Raises Forbidden unless the actor administers the installation."""
    require(is_admin(actor.grants), _ADMINS_ONLY)


async def require_present_admin(work: UnitOfWork, actor: Actor) -> None:
    """Raises Forbidden unless the actor administers the installation at present, whatever his token says; the commit
    relies on it. For what would let him give himself back what was taken from him.
    """
    require_admin(actor)
    if actor.id == SYSTEM_ID:
        return
    user = (await work.users.get_many([actor.id])).get(actor.id)
    require(user is not None and not user.is_deleted and is_admin(frozenset(user.grants)), _ADMINS_ONLY)
    if user is not None:
        work.users.require_unchanged(user)


def without_teams(actor: Actor) -> Principal:
    """The actor without his teams, for decisions that they cannot change."""
    return Principal(actor.id, actor.grants)


async def with_permissions(work: UnitOfWork, actor: Actor, team_ids: Iterable[str | None]) -> Principal:
    """The actor before a decision that only these teams matter to: one call to the store, two for roles people made."""
    memberships = await _memberships_in(work, actor, team_ids)
    return _standing(actor, memberships, await _own_roles(work, memberships))


async def with_memberships(work: UnitOfWork, actor: Actor, team_ids: Iterable[str | None]) -> Principal:
    """The actor and which of these teams he belongs to, for decisions that what he holds there cannot change: one call
    to the store at most.
    """
    return _belonging(actor, await _memberships_in(work, actor, team_ids))


async def is_allowed(
    work: UnitOfWork, actor: Actor, decision: Decision, *, teams: Iterable[str | None]
) -> bool:
    """Whether a decision to which only these teams matter is in the actor's favour; the commit relies on what it took.

    What he may do without his teams relies on none of them. What all members may do fails at the commit if he left, or
    won or lost a role, before it; what takes more than that also if a role changed that people made and he holds there.
    """
    if decision(without_teams(actor)):
        return True
    memberships = await _memberships_in(work, actor, teams)
    roles: Sequence[Role] = ()
    if not decision(_belonging(actor, memberships)):
        roles = await _own_roles(work, memberships)
        if not decision(_standing(actor, memberships, roles)):
            return False
    for membership in memberships:
        work.memberships.require_unchanged(membership)
    for role in roles:
        work.roles.require_unchanged(role)
    return True


async def require_allowed(
    work: UnitOfWork,
    actor: Actor,
    decision: Decision,
    *,
    teams: Iterable[str | None],
    message: str | None = None,
) -> None:
    """Raises Forbidden, with the message, unless the decision is in the actor's favour; relied upon as `is_allowed`."""
    require(await is_allowed(work, actor, decision, teams=teams), message)


async def full_standing(work: UnitOfWork, actor: Actor) -> Principal:
    """The actor with all his teams."""
    memberships = await work.memberships.of_user(actor.id)
    return _standing(actor, memberships, await _own_roles(work, memberships))


async def audience_of(work: UnitOfWork, actor: Actor) -> Audience:
    """For whom the actor's lists are made."""
    memberships = await work.memberships.of_user(actor.id)
    return Audience(actor.id, tuple(sorted(one.team_id for one in memberships)))


async def _memberships_in(work: UnitOfWork, actor: Actor, team_ids: Iterable[str | None]) -> list[Membership]:
    ids = [membership_id(team_id, actor.id) for team_id in dict.fromkeys(team_ids) if team_id is not None]
    found = await work.memberships.get_many(ids) if ids else {}
    return [one for one in found.values() if not one.is_deleted]


async def _own_roles(work: UnitOfWork, memberships: Iterable[Membership]) -> list[Role]:
    """Those of their roles that people made and that still count; built-in ones never change."""
    own = {role_id for one in memberships for role_id in one.role_ids if role_id not in _BUILT_IN}
    roles = await work.roles.get_many(sorted(own)) if own else {}
    return [role for role in roles.values() if not role.is_deleted]


def _belonging(actor: Actor, memberships: Iterable[Membership]) -> Principal:
    return Principal(actor.id, actor.grants, {one.team_id: frozenset() for one in memberships})


def _standing(actor: Actor, memberships: Iterable[Membership], own_roles: Iterable[Role]) -> Principal:
    held = {role.id: frozenset(role.permissions) for role in own_roles}
    known = {**held, **_BUILT_IN}
    nothing: frozenset[Permission] = frozenset()
    teams = {
        one.team_id: nothing.union(*(known.get(role_id, nothing) for role_id in one.role_ids))
        for one in memberships
    }
    return Principal(actor.id, actor.grants, teams)
