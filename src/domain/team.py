"""A team, who belongs to it, and what its members hold there."""

from dataclasses import dataclass, replace
from typing import Self, TypedDict

from domain.entity import Entity, Stamp, derived_id, first_stamps
from domain.errors import Conflict
from domain.name import require_name
from domain.role import RoleScope, built_in_id
from domain.storable import require_text

NAME_LENGTH_MAX = 200
DESCRIPTION_LENGTH_MAX = 10_000
MEMBERS_MAX = 1_000
"""How many members a team has at most: what a change to a team must carry along stays bounded."""
ROLES_MAX = 20
"""How many roles one member holds in one team at most."""
INVITATION_DAYS = 7
"""How long an invitation opens the door."""

OWNER_ROLE_ID = built_in_id(RoleScope.TEAM, "owner")
MEMBER_ROLE_ID = built_in_id(RoleScope.TEAM, "member")
STANDING_ROLE_IDS = frozenset({OWNER_ROLE_ID, MEMBER_ROLE_ID})
"""The roles that say where a member stands: each holds one of them, and nobody grants them by hand."""


class TeamChanges(TypedDict, total=False):
    """What may change after creation; absent means unchanged, None clears."""

    name: str
    description: str | None
    owner_id: str
    poc_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Team(Entity):
    """`poc_id` is the point of contact. Raising `invite_series` makes every invitation so far worthless."""

    name: str
    owner_id: str
    description: str | None = None
    poc_id: str | None = None
    invite_series: int = 1

    @classmethod
    def create(cls, id: str, stamp: Stamp, *, owner_id: str, changes: TeamChanges) -> Self:
        """Version 1 of a team. Raises RuleBroken where a field does not fit."""
        fields: dict[str, object] = {"owner_id": owner_id, **_checked(changes)}
        return cls(**first_stamps(id, stamp), **fields)  # type: ignore[arg-type]

    def edit(self, stamp: Stamp, changes: TeamChanges) -> Self:
        """The team with these changes; the same object where they change nothing."""
        self.require_live()
        return self._next(stamp, **_checked(changes))

    def revoke_invitations(self, stamp: Stamp) -> Self:
        """The team after which no invitation made so far opens its door."""
        self.require_live()
        return self._next(stamp, invite_series=self.invite_series + 1)

    def roll_back_to(self, earlier: Self, stamp: Stamp) -> Self:
        """The name and description of an earlier version. Owner, contact and invitations stay with the present: who
        left in the meantime must not come back in.
        """
        self.require_live()
        return self._next(stamp, name=earlier.name, description=earlier.description)

    def cannot_lose(self, user_id: str) -> bool:
        """Whether the team would stand without owner or contact if this member went."""
        return user_id in (self.owner_id, self.poc_id)


def membership_id(team_id: str, user_id: str) -> str:
    """The one id of this user's membership of this team: nobody is a member twice."""
    return derived_id("team_members", team_id, user_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership(Entity):
    """Somebody's place in a team; in the trash once he left it. `role_ids` are roles of scope TEAM, sorted.

    Whoever belongs to a team holds the built-in role member there, its owner the built-in role owner instead.
    """

    team_id: str
    user_id: str
    role_ids: tuple[str, ...] = ()

    @classmethod
    def create(cls, stamp: Stamp, *, team_id: str, user_id: str, owns: bool = False) -> Self:
        """Version 1 of a membership."""
        stamps = first_stamps(membership_id(team_id, user_id), stamp)
        role_id = OWNER_ROLE_ID if owns else MEMBER_ROLE_ID
        return cls(**stamps, team_id=team_id, user_id=user_id, role_ids=(role_id,))  # type: ignore[arg-type]

    def rejoin(self, stamp: Stamp) -> Self:
        """The membership of somebody who comes back; what he held before he left does not come back with him."""
        return replace(self.restore(stamp), role_ids=(MEMBER_ROLE_ID,))

    def leave(self, stamp: Stamp) -> Self:
        """The membership of somebody who left."""
        return self.delete(stamp)

    @property
    def was_removed(self) -> bool:
        """Whether somebody else took him out of the team."""
        return self.is_deleted and self.deleted_by != self.user_id

    def take_over(self, stamp: Stamp) -> Self:
        """The membership of the team's new owner."""
        return self._standing_as(OWNER_ROLE_ID, stamp)

    def hand_over(self, stamp: Stamp) -> Self:
        """The membership of somebody who owned the team and stays in it."""
        return self._standing_as(MEMBER_ROLE_ID, stamp)

    def with_role(self, stamp: Stamp, role_id: str) -> Self:
        """The membership holding this role as well. Raises Conflict beyond ROLES_MAX."""
        self.require_live()
        role_ids = tuple(sorted({*self.role_ids, role_id}))
        if len(role_ids) > ROLES_MAX:
            raise Conflict(f"A member holds at most {ROLES_MAX} roles in one team.")
        return self._next(stamp, role_ids=role_ids)

    def without_role(self, stamp: Stamp, role_id: str) -> Self:
        """The membership without this role."""
        self.require_live()
        return self._next(stamp, role_ids=tuple(sorted({*self.role_ids} - {role_id})))

    def _standing_as(self, role_id: str, stamp: Stamp) -> Self:
        self.require_live()
        granted = {*self.role_ids} - STANDING_ROLE_IDS
        return self._next(stamp, role_ids=tuple(sorted({*granted, role_id})))


def _checked(changes: TeamChanges) -> TeamChanges:
    if (description := changes.get("description")) is not None:
        require_text(description, "/description", longest=DESCRIPTION_LENGTH_MAX)
    if "name" not in changes:
        return changes
    return {**changes, "name": require_name(changes["name"], "/name", longest=NAME_LENGTH_MAX)}
