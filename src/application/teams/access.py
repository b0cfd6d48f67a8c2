"""Access to teams, and views of their members and roles."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from application.access import require_visible, with_permissions
from application.actor import Actor
from application.ports.unit_of_work import UnitOfWork
from domain.errors import NotFound, VersionConflict
from domain.permissions import Principal, may_see_team
from domain.role import Role
from domain.team import Membership, Team, membership_id


@dataclass(frozen=True, slots=True)
class Member:
    """A member of a team. `name` is None if the user no longer exists; `joined_at` is when they first joined; `version`
    is that of the membership.
    """

    user_id: str
    name: str | None
    role_ids: tuple[str, ...]
    joined_at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class RolesInTeam:
    """The roles of a user in one team."""

    team_id: str
    roles: Sequence[Role]


@dataclass(frozen=True, slots=True)
class RolesHeld:
    """The roles of a user that the actor may see; `global_roles` is None if they may not see these."""

    global_roles: Sequence[Role] | None
    teams: Sequence[RolesInTeam]


async def visible_team(work: UnitOfWork, actor: Actor, id: str) -> tuple[Team, Principal]:
    """The team and the actor's principal in it. Raises NotFound if the actor may not see it."""
    await work.load(teams=[id], memberships=[membership_id(id, actor.id)])
    team = await work.teams.get(id)
    principal = await with_permissions(work, actor, [id])
    require_visible(may_see_team(principal, team))
    return team, principal


async def member_of(work: UnitOfWork, team_id: str, user_id: str) -> Membership:
    """The live membership of a user. Raises NotFound if they are not a member."""
    membership = await work.memberships.find(membership_id(team_id, user_id))
    if membership is None or membership.is_deleted:
        raise NotFound("This user is not a member of the team.")
    return membership


def names_version(
    conflict: VersionConflict,
    _use_case: object,
    _actor: Actor,
    team_id: str,
    user_id: str,
    *_others: object,
    expected_version: int | None = None,
) -> bool:
    """Whether the conflict is about a version of this membership that the caller named."""
    id = membership_id(team_id, user_id)
    return expected_version is not None and conflict.concerns("team_members", id)
