"""Teams, their members and roles as they come in and go out."""

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
"""How many users join a team with one request at most."""
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


class TeamBody(Body, rename="camel"):
    """A new team. Its contact can only be its maker: nobody else belongs to it yet."""

    name: TeamName
    description: TeamDescription | UnsetType | None = UNSET
    poc_id: Id | UnsetType | None = UNSET


class TeamPatch(Body, rename="camel"):
    """Changes of a team (merge patch). Owner and contact are members."""

    name: TeamName | UnsetType = UNSET
    description: TeamDescription | UnsetType | None = UNSET
    owner_id: Id | UnsetType = UNSET
    poc_id: Id | UnsetType | None = UNSET


class MembersBody(Body, rename="camel"):
    """Who is to belong to a team."""

    user_ids: Annotated[tuple[Id, ...], Meta(min_length=1, max_length=USERS_MAX)]


class JoinBody(Body):
    """The code that somebody was invited with."""

    code: Annotated[str, Meta(min_length=1, max_length=CODE_LENGTH_MAX)]


class RoleBody(Body, rename="camel"):
    """A new role. A global one allows at least one thing."""

    name: RoleName
    scope: RoleScope
    permissions: Permissions | UnsetType = UNSET
    description: RoleDescription | UnsetType | None = UNSET


class RolePatch(Body, rename="camel"):
    """Changes of a role (merge patch)."""

    name: RoleName | UnsetType = UNSET
    permissions: Permissions | UnsetType = UNSET
    description: RoleDescription | UnsetType | None = UNSET


class TeamView(EntityView, rename="camel"):
    """A team. `pocId` is the point of contact."""

    name: str
    description: str | None
    owner_id: Id
    poc_id: Id | None


class MembershipView(EntityView, rename="camel"):
    """Somebody's place in a team, as audit entries show it."""

    team_id: Id
    user_id: Id
    role_ids: tuple[Id, ...]


class MemberView(Struct, rename="camel"):
    """Somebody in a team. `name` is null where nobody has the id any more; `joinedAt`: when he first came; `version`:
    what If-Match names where his membership or his roles change.
    """

    user_id: Id
    name: str | None
    role_ids: tuple[Id, ...]
    joined_at: InstantText
    version: int


class InviteCodeView(Struct, rename="camel"):
    """What opens a team to whoever has it, and until when."""

    code: str
    expires_at: InstantText


class RoleView(EntityView, rename="camel"):
    """A role. Built-in ones stay as they are."""

    name: str
    scope: RoleScope
    permissions: tuple[Permission, ...]
    description: str | None
    is_built_in: bool


class RolesInTeamView(Struct, rename="camel"):
    """What somebody holds in one team."""

    team_id: Id
    roles: tuple[RoleView, ...]


class RolesHeldView(Struct, rename="camel"):
    """What somebody holds, as far as it concerns who asks. `globalRoles` is null but for himself and administrators;
    `teams` are, for others, those that they share with him.
    """

    global_roles: tuple[RoleView, ...] | None
    teams: tuple[RolesInTeamView, ...]


class TeamQuery(SearchQuery, rename="camel"):
    """Which of your teams, in which order."""

    owner_id: Id | None = None
    sort: Annotated[SearchOrder, sort_described("-createdAt")] | None = None


class MemberQuery(ListQuery):
    """A page of members."""

    usual_order = "createdAt"


class RoleQuery(ListQuery):
    """Which roles, in which order."""

    scope: RoleScope | None = None
    sort: Literal["createdAt", "-createdAt", "updatedAt", "-updatedAt", "name", "-name"] = "name"

    @property
    def order(self) -> str:
        return self.sort
