"""Teams: create, read, change, trash, restore, roll back."""

from dataclasses import dataclass, replace

from application.access import audience_of, require, require_allowed, without_teams
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.clock import Clock
from application.ports.identifiers import Identifiers
from application.ports.repositories import TeamFilter
from application.ports.unit_of_work import Begin, UnitOfWork
from application.retrying import retry_conflicts
from application.rollback import RollBack
from application.teams.access import seen_team
from application.trash import Delete, Finish, Kind, Restore
from domain.entity import Stamp
from domain.errors import Fault, Purged, RuleBroken
from domain.permissions import may_change_team, may_give_team, sees_everything
from domain.team import Membership, Team, TeamChanges, membership_id

_NO_MEMBER = "is no member of the team"


@dataclass(frozen=True, slots=True)
class CreateTeam:
    """A new team, owned by the actor, who is its first member."""

    begin: Begin
    clock: Clock
    identifiers: Identifiers

    async def __call__(self, actor: Actor, changes: TeamChanges) -> Team:
        if changes.get("poc_id") not in (None, actor.id):
            raise RuleBroken("Nobody else belongs to the team yet.", faults=[Fault("/pocId", _NO_MEMBER)])
        work = self.begin(actor)
        stamp = Stamp(self.clock.now(), actor.id)
        team = Team.create(self.identifiers.fresh(), stamp, owner_id=actor.id, changes=changes)
        work.teams.save(team)
        work.memberships.save(Membership.create(stamp, team_id=team.id, user_id=actor.id, owns=True))
        await work.commit()
        return team


@dataclass(frozen=True, slots=True)
class GetTeam:
    """One team, also from the trash, also as it was."""

    begin: Begin

    async def __call__(self, actor: Actor, id: str, *, version: int | None = None) -> Team:
        work = self.begin(actor)
        team, _ = await seen_team(work, actor, id)
        return team if version is None else await work.teams.at_version(id, version)


@dataclass(frozen=True, slots=True)
class ListTeams:
    """The teams that the actor belongs to; of those in the trash, the ones he owns."""

    begin: Begin

    async def __call__(self, actor: Actor, filters: TeamFilter, page: PageRequest) -> Page[Team]:
        work = self.begin(actor)
        if not sees_everything(actor.grants) and filters.deleted:
            filters = replace(filters, owner_id=actor.id)
        elif not sees_everything(actor.grants):
            filters = replace(filters, ids=(await audience_of(work, actor)).team_ids)
        return await work.teams.matching(filters, page)


async def _changeable_team(work: UnitOfWork, actor: Actor, id: str) -> Team:
    """The team, where the actor may change it; the commit relies on what lets him. Raises NotFound or Forbidden."""
    team, _ = await seen_team(work, actor, id)
    await require_allowed(
        work,
        actor,
        lambda principal: may_change_team(principal, team),
        teams=[id],
        message="Only who runs the team changes it.",
    )
    return team


@dataclass(frozen=True, slots=True)
class EditTeam:
    """Changes fields of a team. A new owner and a new contact must belong to it.

    `expected_version` None means whichever is current.
    """

    begin: Begin
    clock: Clock

    @retry_conflicts(unless="teams")
    async def __call__(
        self, actor: Actor, id: str, changes: TeamChanges, *, expected_version: int | None
    ) -> Team:
        work = self.begin(actor)
        team = await _changeable_team(work, actor, id)
        is_given = changes.get("owner_id", team.owner_id) != team.owner_id
        require(
            not is_given or may_give_team(without_teams(actor), team), "Only its owner gives a team away."
        )
        team.require_version(expected_version)
        stamp = Stamp(self.clock.now(), actor.id)
        edited = team.edit(stamp, changes)
        await _require_members(work, id, changes)
        work.teams.save(edited)
        if is_given:
            await _swap_owners(work, team, edited, stamp)
        await work.commit()
        return edited


async def _require_members(work: UnitOfWork, team_id: str, changes: TeamChanges) -> None:
    """The commit relies on it that the new owner and the new contact belong to the team. Raises RuleBroken naming who
    does not.
    """
    named = (("/ownerId", changes.get("owner_id")), ("/pocId", changes.get("poc_id")))
    ids = {pointer: membership_id(team_id, user_id) for pointer, user_id in named if user_id is not None}
    found = await work.memberships.get_many(ids.values()) if ids else {}
    live = {id_: one for id_, one in found.items() if not one.is_deleted}
    faults = [Fault(pointer, _NO_MEMBER) for pointer, id_ in ids.items() if id_ not in live]
    if faults:
        raise RuleBroken("Only members own a team or speak for it.", faults=faults)
    for membership in live.values():
        work.memberships.rely_on(membership)


async def _swap_owners(work: UnitOfWork, before: Team, after: Team, stamp: Stamp) -> None:
    """The role of the owner goes with the ownership; who had it stays as a member."""
    former_id, new_id = (membership_id(team.id, team.owner_id) for team in (before, after))
    found = await work.memberships.get_many([former_id, new_id])
    work.memberships.save(found[new_id].become_owner(stamp))
    former = found.get(former_id)
    if former is not None and not former.is_deleted:
        work.memberships.save(former.resign_ownership(stamp))


async def _own_team(work: UnitOfWork, actor: Actor, id: str) -> Team:
    team, principal = await seen_team(work, actor, id)
    require(may_give_team(principal, team), "Only its owner deletes a team, and restores it.")
    return team


async def _delete_memberships(work: UnitOfWork, id: str, stamp: Stamp) -> None:
    for membership in await work.memberships.of_team(id):
        work.memberships.save(membership.delete(stamp))


async def _restore_memberships(work: UnitOfWork, team: Team, stamp: Stamp) -> None:
    if await work.memberships.purged([membership_id(team.id, team.owner_id)]):
        raise Purged("The removal of this team has begun.")
    if team.trash_stamp is not None:
        for membership in await work.memberships.trashed_by(team.id, team.trash_stamp):
            work.memberships.save(membership.restore(stamp))


TEAMS = Kind(
    collection="teams",
    of=lambda work: work.teams,
    reach=_own_team,
    delete_content=_delete_memberships,
    restore_content=_restore_memberships,
    trashed_content=lambda work, id, stamp: work.memberships.trashed_by(id, stamp),
)
CHANGED_TEAMS = Kind(collection="teams", of=lambda work: work.teams, reach=_changeable_team)
"""Teams for whoever runs them, where they are neither deleted nor restored."""


class DeleteTeam(Delete[Team]):
    """Into the trash, with its memberships; who joins in that very moment goes, and comes back, with it."""

    kind = TEAMS


class FinishTeams(Finish[Team]):
    """Memberships that a crash left live in a team that went to the trash follow it there."""

    kind = TEAMS


class RestoreTeam(Restore[Team]):
    """Out of the trash, with exactly the members who went there with it."""

    kind = TEAMS


class RollBackTeam(RollBack[Team]):
    """Name and description of an earlier version as a new version; owner, contact and invitations stay."""

    kind = CHANGED_TEAMS
