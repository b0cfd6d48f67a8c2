"""Loads what decisions about somebody need: his teams, and what he holds in them."""

from collections.abc import Iterable, Sequence

from application.actor import Actor
from application.ports.repositories import Audience
from application.ports.unit_of_work import UnitOfWork
from domain.permissions import Held, Standing
from domain.role import BUILT_IN_ROLES, Permission, Role, built_in_id
from domain.team import Membership, membership_id

_BUILT_IN: dict[str, Held] = {
    built_in_id(scope, name): permissions for scope, name, _, permissions in BUILT_IN_ROLES
}


def alone(actor: Actor) -> Standing:
    """The actor without his teams, for decisions that they cannot change."""
    return Standing(actor.id, actor.grants)


async def standing_in(work: UnitOfWork, actor: Actor, team_ids: Iterable[str | None]) -> Standing:
    """The actor before a decision that only these teams matter to: one call to the store, two for roles people made."""
    return await _standing(work, actor, await _memberships_in(work, actor, team_ids))


async def belonging_in(work: UnitOfWork, actor: Actor, team_ids: Iterable[str | None]) -> Standing:
    """The actor and which of these teams he belongs to, for decisions that what he holds there cannot change: one call
    to the store at most.
    """
    memberships = await _memberships_in(work, actor, team_ids)
    return Standing(actor.id, actor.grants, {one.team_id: frozenset() for one in memberships})


async def rely_on_standing(work: UnitOfWork, actor: Actor, team_ids: Iterable[str | None]) -> None:
    """The commit fails if the actor leaves one of these teams, or loses or wins a role there, or a role that he holds
    there changes, before it. After `standing_in` it asks the store for nothing.

    For what he may do by his teams alone: what is his own, and what his grants allow, depends on none of this.
    """
    memberships = await _memberships_in(work, actor, team_ids)
    for membership in memberships:
        work.memberships.rely_on(membership)
    for role in await _own_roles(work, memberships):
        work.roles.rely_on(role)


async def full_standing(work: UnitOfWork, actor: Actor) -> Standing:
    """The actor with all his teams."""
    return await _standing(work, actor, await work.memberships.of_user(actor.id))


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


async def _standing(work: UnitOfWork, actor: Actor, memberships: Sequence[Membership]) -> Standing:
    held = {role.id: frozenset(role.permissions) for role in await _own_roles(work, memberships)}
    known = {**held, **_BUILT_IN}
    nothing: frozenset[Permission] = frozenset()
    teams = {
        one.team_id: nothing.union(*(known.get(role_id, nothing) for role_id in one.role_ids))
        for one in memberships
    }
    return Standing(actor.id, actor.grants, teams)
