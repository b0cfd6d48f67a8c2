"""Teams: create, read, edit, delete, restore and roll back."""

from dataclasses import dataclass, replace

from application.access import audience_of, require, require_allowed, without_teams
from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.identifiers import Identifiers
from application.ports.repositories import TeamFilter
from application.ports.unit_of_work import UnitOfWork
from application.retrying import retry_conflicts
from application.rollback import RollBack
from application.teams.access import visible_team
from application.trash import Delete, Finish, ResourceType, Restore
from application.use_case import TimedUseCase, UseCase
from domain.entity import Stamp
from domain.errors import Purged, RuleBroken, Violation
from domain.permissions import may_change_team, may_give_team, sees_everything
from domain.team import Membership, Team, TeamChanges, membership_id

_NO_MEMBER = "is not a member of the team"


@dataclass(frozen=True, slots=True)
class CreateTeam(TimedUseCase):
    """Creates a team. The actor is its owner and first member."""

    identifiers: Identifiers

    async def __call__(self, actor: Actor, changes: TeamChanges) -> Team:
        if changes.get("poc_id") not in (None, actor.id):
            raise RuleBroken(
                "The contact of a new team can only be its creator.",
                violations=[Violation("/pocId", _NO_MEMBER)],
            )
        work = self.begin(actor)
        stamp = self.stamp(actor)
        team = Team.create(self.identifiers.fresh(), stamp, owner_id=actor.id, changes=changes)
        work.teams.save(team)
        work.memberships.save(Membership.create(stamp, team_id=team.id, user_id=actor.id, owns=True))
        await work.commit()
        return team


class GetTeam(UseCase):
    """One team, live or in the trash, at present or at an earlier version."""

    async def __call__(self, actor: Actor, id: str, *, version: int | None = None) -> Team:
        work = self.begin(actor)
        team, _ = await visible_team(work, actor, id)
        return team if version is None else await work.teams.at_version(id, version)


class ListTeams(UseCase):
    """The actor's teams; of the teams in the trash those that they own."""

    async def __call__(self, actor: Actor, filters: TeamFilter, page: PageRequest) -> Page[Team]:
        work = self.begin(actor)
        if not sees_everything(actor.grants) and filters.deleted:
            filters = replace(filters, owner_id=actor.id)
        elif not sees_everything(actor.grants):
            filters = replace(filters, ids=(await audience_of(work, actor)).team_ids)
        return await work.teams.matching(filters, page)


async def _changeable_team(work: UnitOfWork, actor: Actor, id: str) -> Team:
    """The team, if the actor may change it, which the commit checks again. Raises NotFound or Forbidden."""
    team, _ = await visible_team(work, actor, id)
    await require_allowed(
        work,
        actor,
        lambda principal: may_change_team(principal, team),
        teams=[id],
        message="Only the team's owner, or members with CHANGE_TEAM, can change it.",
    )
    return team


class EditTeam(TimedUseCase):
    """Changes fields of a team. Owner and contact must be members. `expected_version` None accepts any version."""

    @retry_conflicts(unless="teams")
    async def __call__(
        self, actor: Actor, id: str, changes: TeamChanges, *, expected_version: int | None
    ) -> Team:
        work = self.begin(actor)
        team = await _changeable_team(work, actor, id)
        changes_owner = changes.get("owner_id", team.owner_id) != team.owner_id
        require(
            not changes_owner or may_give_team(without_teams(actor), team),
            "Only the team's owner can name another owner.",
        )
        team.require_version(expected_version)
        stamp = self.stamp(actor)
        edited = team.edit(stamp, changes)
        await _require_members(work, id, changes)
        work.teams.save(edited)
        if changes_owner:
            await _swap_owners(work, team, edited, stamp)
        await work.commit()
        return edited


async def _require_members(work: UnitOfWork, team_id: str, changes: TeamChanges) -> None:
    """Raises RuleBroken unless the new owner and contact are members, now and at the commit."""
    named = (("/ownerId", changes.get("owner_id")), ("/pocId", changes.get("poc_id")))
    ids = {pointer: membership_id(team_id, user_id) for pointer, user_id in named if user_id is not None}
    found = await work.memberships.get_many(ids.values()) if ids else {}
    live = {id_: one for id_, one in found.items() if not one.is_deleted}
    violations = [Violation(pointer, _NO_MEMBER) for pointer, id_ in ids.items() if id_ not in live]
    if violations:
        raise RuleBroken("The owner and the contact of a team must be members.", violations=violations)
    for membership in live.values():
        work.memberships.require_unchanged(membership)


async def _swap_owners(work: UnitOfWork, before: Team, after: Team, stamp: Stamp) -> None:
    """Moves the role owner to the new owner; the former owner remains a member."""
    former_id, new_id = (membership_id(team.id, team.owner_id) for team in (before, after))
    found = await work.memberships.get_many([former_id, new_id])
    work.memberships.save(found[new_id].become_owner(stamp))
    former = found.get(former_id)
    if former is not None and not former.is_deleted:
        work.memberships.save(former.resign_ownership(stamp))


async def _own_team(work: UnitOfWork, actor: Actor, id: str) -> Team:
    team, principal = await visible_team(work, actor, id)
    require(may_give_team(principal, team), "Only the team's owner can delete or restore it.")
    return team


async def _delete_memberships(work: UnitOfWork, id: str, stamp: Stamp) -> None:
    for membership in await work.memberships.of_team(id):
        work.memberships.save(membership.delete(stamp))


async def _restore_memberships(work: UnitOfWork, team: Team, stamp: Stamp) -> None:
    if await work.memberships.purged([membership_id(team.id, team.owner_id)]):
        raise Purged("This team is being permanently removed and cannot be restored.")
    if team.trash_stamp is not None:
        for membership in await work.memberships.trashed_by(team.id, team.trash_stamp):
            work.memberships.save(membership.restore(stamp))


TEAMS = ResourceType(
    collection="teams",
    repository=lambda work: work.teams,
    load_for_change=_own_team,
    delete_content=_delete_memberships,
    restore_content=_restore_memberships,
    trashed_content=lambda work, id, stamp: work.memberships.trashed_by(id, stamp),
)
CHANGED_TEAMS = ResourceType(
    collection="teams", repository=lambda work: work.teams, load_for_change=_changeable_team
)
"""Teams for the members who may change but not delete them."""


class DeleteTeam(Delete[Team]):
    """Moves a team with its memberships to the trash, including those that are added meanwhile."""

    resource = TEAMS


class FinishTeams(Finish[Team]):
    """Deletes memberships that a crash left active in a deleted team."""

    resource = TEAMS


class RestoreTeam(Restore[Team]):
    """Restores a team with the memberships that were deleted with it."""

    resource = TEAMS


class RollBackTeam(RollBack[Team]):
    """Stores name and description of an earlier version as a new version; owner, contact and invitations stay."""

    resource = CHANGED_TEAMS
