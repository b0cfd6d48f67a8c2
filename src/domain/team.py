"""A team, its members and their roles."""

from dataclasses import dataclass, replace
from typing import Self, TypedDict

from domain.entity import Entity, Stamp, derived_id
from domain.errors import Conflict
from domain.name import require_name
from domain.role import RoleScope, built_in_id
from domain.storable import require_text

NAME_LENGTH_MAX = 200
DESCRIPTION_LENGTH_MAX = 10_000
MEMBERS_MAX = 1_000
"""How many members a team has at most. It bounds the change set that deletes a team."""
ROLES_MAX = 20
"""How many roles one member holds in one team at most."""
INVITATION_DAYS = 7
"""How long an invitation is valid."""

OWNER_ROLE_ID = built_in_id(RoleScope.TEAM, "owner")
MEMBER_ROLE_ID = built_in_id(RoleScope.TEAM, "member")
MEMBERSHIP_ROLE_IDS = frozenset({OWNER_ROLE_ID, MEMBER_ROLE_ID})
"""The roles of membership and ownership: each member holds one of them; they are not granted or revoked."""


class TeamChanges(TypedDict, total=False):
    """Changes of a team; an absent field is unchanged, None clears it."""

    name: str
    description: str | None
    owner_id: str
    poc_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Team(Entity):
    """`poc_id` is the point of contact. Increasing `invite_series` revokes all invitations."""

    name: str
    owner_id: str
    description: str | None = None
    poc_id: str | None = None
    invite_series: int = 1

    @classmethod
    def create(cls, id: str, stamp: Stamp, *, owner_id: str, changes: TeamChanges) -> Self:
        """Version 1 of a team. Raises RuleBroken for an invalid field."""
        return cls._first(id, stamp, **{"owner_id": owner_id, **_checked(changes)})

    def edit(self, stamp: Stamp, changes: TeamChanges) -> Self:
        """The team with these changes; the same object if nothing differs. Raises as `create`."""
        self.require_live()
        return self._next(stamp, **_checked(changes))

    def revoke_invitations(self, stamp: Stamp) -> Self:
        """The team with all present invitations revoked."""
        self.require_live()
        return self._next(stamp, invite_series=self.invite_series + 1)

    def roll_back_to(self, earlier: Self, stamp: Stamp) -> Self:
        """A new version with the name and description of an earlier one. Owner, contact and invitations do not change:
        former members must not return.
        """
        self.require_live()
        return self._next(stamp, name=earlier.name, description=earlier.description)

    def needs_member(self, user_id: str) -> bool:
        """Whether this user is the team's owner or contact, who cannot leave it."""
        return user_id in (self.owner_id, self.poc_id)


def membership_id(team_id: str, user_id: str) -> str:
    """The id of this user's membership of this team; there is only one."""
    return derived_id("team_members", team_id, user_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership(Entity):
    """A user's membership of a team; in the trash once they have left. `role_ids` are roles of scope TEAM, sorted.

    Every member holds the built-in role member, except the owner, who holds the built-in role owner.
    """

    team_id: str
    user_id: str
    role_ids: tuple[str, ...] = ()

    @classmethod
    def create(cls, stamp: Stamp, *, team_id: str, user_id: str, owns: bool = False) -> Self:
        """Version 1 of a membership."""
        role_ids = (OWNER_ROLE_ID if owns else MEMBER_ROLE_ID,)
        id = membership_id(team_id, user_id)
        return cls._first(id, stamp, team_id=team_id, user_id=user_id, role_ids=role_ids)

    def rejoin(self, stamp: Stamp) -> Self:
        """The membership of a user who returns to the team; the roles they held before are not restored."""
        return replace(self.restore(stamp), role_ids=(MEMBER_ROLE_ID,))

    def leave(self, stamp: Stamp) -> Self:
        """The membership of a user who has left the team."""
        return self.delete(stamp)

    @property
    def was_removed(self) -> bool:
        """Whether another user removed this one from the team."""
        return self.is_deleted and self.deleted_by != self.user_id

    def become_owner(self, stamp: Stamp) -> Self:
        """The membership of the new owner."""
        return self._with_membership_role(stamp, OWNER_ROLE_ID)

    def resign_ownership(self, stamp: Stamp) -> Self:
        """The membership of the former owner, who remains a member."""
        return self._with_membership_role(stamp, MEMBER_ROLE_ID)

    def with_role(self, stamp: Stamp, role_id: str) -> Self:
        """The membership with this role added. Raises Conflict beyond ROLES_MAX."""
        self.require_live()
        role_ids = tuple(sorted({*self.role_ids, role_id}))
        if len(role_ids) > ROLES_MAX:
            raise Conflict(f"A member can hold at most {ROLES_MAX} roles in one team; revoke one first.")
        return self._next(stamp, role_ids=role_ids)

    def without_role(self, stamp: Stamp, role_id: str) -> Self:
        """The membership without this role."""
        self.require_live()
        return self._next(stamp, role_ids=tuple(sorted({*self.role_ids} - {role_id})))

    def _with_membership_role(self, stamp: Stamp, role_id: str) -> Self:
        self.require_live()
        granted = {*self.role_ids} - MEMBERSHIP_ROLE_IDS
        return self._next(stamp, role_ids=tuple(sorted({*granted, role_id})))


def _checked(changes: TeamChanges) -> TeamChanges:
    if (description := changes.get("description")) is not None:
        require_text(description, "/description", longest=DESCRIPTION_LENGTH_MAX)
    if "name" not in changes:
        return changes
    return {**changes, "name": require_name(changes["name"], "/name", longest=NAME_LENGTH_MAX)}
