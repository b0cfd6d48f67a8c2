"""Bodies, queries and views of teams, their members and roles."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from domain import role, team
from domain.role import Permission, RoleScope
from entrypoints.http.protocol.schemas import (
    NAMING,
    Body,
    EntityView,
    Id,
    InstantText,
    ListQuery,
    SearchOrder,
    SearchQuery,
    sort_described,
)

USERS_MAX = 100
"""The largest number of users that one request adds to a team."""
CODE_LENGTH_MAX = 200

TeamName = Annotated[
    str, Meta(min_length=1, max_length=team.NAME_LENGTH_MAX, description=NAMING, examples=["Gardeners"])
]
TeamDescription = Annotated[str, Meta(max_length=team.DESCRIPTION_LENGTH_MAX)]
RoleName = Annotated[
    str, Meta(min_length=1, max_length=role.NAME_LENGTH_MAX, description=NAMING, examples=["planner"])
]
RoleDescription = Annotated[str, Meta(max_length=role.DESCRIPTION_LENGTH_MAX)]
Permissions = Annotated[tuple[Permission, ...], Meta(max_length=len(Permission))]


class TeamBody(Body):
    """A new team. `pocId` can only be its creator, because the team has no other member yet."""

    name: TeamName
    description: TeamDescription | UnsetType | None = UNSET
    poc_id: Id | UnsetType | None = UNSET


class TeamPatch(Body):
    """Changes to a team (merge patch). Owner and point of contact must be members."""

    name: TeamName | UnsetType = UNSET
    description: TeamDescription | UnsetType | None = UNSET
    owner_id: Id | UnsetType = UNSET
    poc_id: Id | UnsetType | None = UNSET


class MembersBody(Body):
    """The users to add to a team."""

    user_ids: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=USERS_MAX)]


class JoinBody(Body):
    """An invitation code."""

    code: Annotated[str, Meta(min_length=1, max_length=CODE_LENGTH_MAX)]


class RoleBody(Body):
    """A new role. A global role needs at least one permission."""

    name: RoleName
    scope: RoleScope
    permissions: Permissions | UnsetType = UNSET
    description: RoleDescription | UnsetType | None = UNSET


class RolePatch(Body):
    """Changes to a role (merge patch)."""

    name: RoleName | UnsetType = UNSET
    permissions: Permissions | UnsetType = UNSET
    description: RoleDescription | UnsetType | None = UNSET


class TeamView(EntityView):
    """A team. `pocId` is the point of contact."""

    name: str
    description: str | None
    owner_id: Id
    poc_id: Id | None


class MembershipView(EntityView):
    """A membership in a team, as audit entries show it."""

    team_id: Id
    user_id: Id
    role_ids: tuple[Id, ...]


class MemberView(Struct, rename="camel"):
    """A member of a team. `name` is null if the user no longer exists. `joinedAt` is the time when they first joined.
    `version` is the version for If-Match when their membership or roles are changed.
    """

    user_id: Id
    name: str | None
    role_ids: tuple[Id, ...]
    joined_at: InstantText
    version: int


class InviteCodeView(Struct, rename="camel"):
    """An invitation code, and the time when it expires."""

    code: str
    expires_at: InstantText


class RoleView(EntityView):
    """A role. Built-in roles cannot be changed."""

    name: str
    scope: RoleScope
    permissions: tuple[Permission, ...]
    description: str | None
    is_built_in: bool


class RolesInTeamView(Struct, rename="camel"):
    """The roles of a user in one team."""

    team_id: Id
    roles: tuple[RoleView, ...]


class RolesHeldView(Struct, rename="camel"):
    """The roles of a user. `globalRoles` is null unless the caller is that user or an administrator; other callers only
    see the `teams` that they share with the user.
    """

    global_roles: tuple[RoleView, ...] | None
    teams: tuple[RolesInTeamView, ...]


class TeamQuery(SearchQuery):
    """Filters and order of your teams."""

    owner_id: Id | None = None
    sort: Annotated[SearchOrder, sort_described("-createdAt")] | None = None


class MemberQuery(ListQuery):
    """A page of members."""

    usual_order = "createdAt"


class RoleQuery(ListQuery):
    """Filters and order of roles."""

    scope: RoleScope | None = None
    sort: Literal["createdAt", "-createdAt", "updatedAt", "-updatedAt", "name", "-name"] = "name"

    @property
    def order(self) -> str:
        return self.sort
