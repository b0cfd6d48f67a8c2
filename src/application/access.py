"""Access checks: the actor's memberships and permissions are loaded, checked, and verified again by the commit."""

from collections.abc import Callable, Iterable, Sequence

from application.actor import SYSTEM_ID, Actor
from application.ports.repositories import Audience, Users
from application.ports.unit_of_work import UnitOfWork
from domain.errors import Forbidden, NotFound
from domain.permissions import Held, Principal, is_admin, sees_everything
from domain.role import BUILT_IN_ROLES, Permission, Role, built_in_id
from domain.team import Membership, membership_id

Decision = Callable[[Principal], bool]
"""A permission predicate. It must be monotonic in the permissions held."""

_BUILT_IN: dict[str, Held] = {
    built_in_id(scope, name): permissions for scope, name, _, permissions in BUILT_IN_ROLES
}

_ADMINS_ONLY = "Only an administrator can do this."
_ADMIN_TOKENS_ONLY = "Only an administrator can do this, with an API token that has the scope `admin`."
_REVOKED = "Your role in this installation was revoked, so nothing was changed."


def require(allowed: bool, message: str | None = None) -> None:  # noqa: FBT001 - reads as a sentence
    """Raises Forbidden unless allowed."""
    if not allowed:
        raise Forbidden(message)


def require_visible(visible: bool) -> None:  # noqa: FBT001 - reads as a sentence
    """Raises NotFound unless visible: an error must not reveal an entity that the actor may not see."""
    if not visible:
        raise NotFound


def require_admin(actor: Actor) -> None:
    """Raises Forbidden unless the actor is an administrator."""
    message = _ADMINS_ONLY if actor.api_token_id is None else _ADMIN_TOKENS_ONLY
    require(is_admin(actor.grants), message)


async def require_present_admin(work: UnitOfWork, actor: Actor) -> None:
    """Raises Forbidden unless the actor is an administrator and their account has the grant now."""
    require_admin(actor)
    await require_present_grants(work.users, actor)


async def require_present_grants(users: Users, actor: Actor) -> None:
    """Raises Forbidden if a decision of the actor rested on a grant that their account no longer has, now or at the
    commit. Every commit calls this; the system has no account.
    """
    if not actor.used_grants or actor.id == SYSTEM_ID:
        return
    user = await users.find(actor.id)
    if user is None or not actor.used_grants.issubset(user.present_grants):
        raise Forbidden(_REVOKED)
    users.require_unchanged(user)


def without_teams(actor: Actor) -> Principal:
    """The actor's principal without memberships, for decisions that do not depend on teams."""
    return Principal(actor.id, actor.grants)


async def with_permissions(work: UnitOfWork, actor: Actor, team_ids: Iterable[str | None]) -> Principal:
    """The actor's principal with permissions in these teams: one call to the store, two if custom roles are held."""
    memberships = await _memberships_in(work, actor, team_ids)
    return _with_permissions(actor, memberships, await _custom_roles(work, memberships))


async def with_memberships(work: UnitOfWork, actor: Actor, team_ids: Iterable[str | None]) -> Principal:
    """The actor's principal with memberships of these teams but no permissions in them: at most one call to the store.

    For decisions that depend on membership alone.
    """
    return _with_memberships(actor, await _memberships_in(work, actor, team_ids))


async def is_allowed(
    work: UnitOfWork, actor: Actor, decision: Decision, *, teams: Iterable[str | None]
) -> bool:
    """Whether the decision, which depends on these teams only, permits the actor.

    The commit checks again exactly what the permission needed: nothing if it needs no team; the memberships if it needs
    membership; also the custom roles if it needs permissions.
    """
    if decision(without_teams(actor)):
        return True
    memberships = await _memberships_in(work, actor, teams)
    roles: Sequence[Role] = ()
    if not decision(_with_memberships(actor, memberships)):
        roles = await _custom_roles(work, memberships)
        if not decision(_with_permissions(actor, memberships, roles)):
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
    """Raises Forbidden with the message unless `is_allowed`."""
    require(await is_allowed(work, actor, decision, teams=teams), message)


async def audience_of(work: UnitOfWork, actor: Actor) -> Audience:
    """The actor with all their teams."""
    memberships = await work.memberships.of_user(actor.id)
    return Audience(actor.id, tuple(sorted(one.team_id for one in memberships)))


async def visible_to(work: UnitOfWork, actor: Actor) -> Audience | None:
    """The filter of lists for the actor; None if they may see everything."""
    return None if sees_everything(actor.grants) else await audience_of(work, actor)


async def _memberships_in(work: UnitOfWork, actor: Actor, team_ids: Iterable[str | None]) -> list[Membership]:
    ids = [membership_id(team_id, actor.id) for team_id in dict.fromkeys(team_ids) if team_id is not None]
    found = await work.memberships.get_many(ids) if ids else {}
    return [one for one in found.values() if not one.is_deleted]


async def _custom_roles(work: UnitOfWork, memberships: Iterable[Membership]) -> list[Role]:
    """The live roles of these memberships that users created; built-in roles never change."""
    custom = {role_id for one in memberships for role_id in one.role_ids if role_id not in _BUILT_IN}
    roles = await work.roles.get_many(sorted(custom)) if custom else {}
    return [role for role in roles.values() if not role.is_deleted]


def _with_memberships(actor: Actor, memberships: Iterable[Membership]) -> Principal:
    return Principal(actor.id, actor.grants, {one.team_id: frozenset() for one in memberships})


def _with_permissions(
    actor: Actor, memberships: Iterable[Membership], custom_roles: Iterable[Role]
) -> Principal:
    permissions_of = {role.id: frozenset(role.permissions) for role in custom_roles} | _BUILT_IN
    nothing: frozenset[Permission] = frozenset()
    teams = {
        one.team_id: nothing.union(*(permissions_of.get(role_id, nothing) for role_id in one.role_ids))
        for one in memberships
    }
    return Principal(actor.id, actor.grants, teams)
