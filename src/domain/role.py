"""A role: named permissions, held in one team or in the whole installation."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Self, TypedDict

from domain.entity import Entity, Stamp, derived_id
from domain.errors import Conflict, RuleBroken, Violation
from domain.name import require_name
from domain.storable import require_text

NAME_LENGTH_MAX = 100
DESCRIPTION_LENGTH_MAX = 1_000


class RoleScope(StrEnum):
    """Where a role applies."""

    GLOBAL = "GLOBAL"
    TEAM = "TEAM"


class Permission(StrEnum):
    """The permissions of roles. The first two apply everywhere, the others in the team where the role is held."""

    ADMINISTER = "ADMINISTER"
    """Everything."""
    MODERATE = "MODERATE"
    """See everything; change everybody's projects, tasks and labels."""
    CHANGE_TEAM = "CHANGE_TEAM"
    """Change the name, description and contact of the team."""
    CHANGE_MEMBERS = "CHANGE_MEMBERS"
    """Invite, add and remove members."""
    GRANT_ROLES = "GRANT_ROLES"
    """Grant and revoke roles whose permissions one holds."""
    CHANGE_PROJECTS = "CHANGE_PROJECTS"
    """Change, delete and restore the team's projects, their schedules, and delete their tasks."""
    ASSIGN_TASKS = "ASSIGN_TASKS"
    """Assign the team's tasks."""


GLOBAL_PERMISSIONS = frozenset({Permission.ADMINISTER, Permission.MODERATE})
TEAM_PERMISSIONS = frozenset(Permission) - GLOBAL_PERMISSIONS
PERMISSIONS_OF = {RoleScope.GLOBAL: GLOBAL_PERMISSIONS, RoleScope.TEAM: TEAM_PERMISSIONS}


class RoleChanges(TypedDict, total=False):
    """Changes of a role; an absent field is unchanged, None clears it."""

    name: str
    description: str | None
    permissions: tuple[Permission, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Role(Entity):
    """Names are unique per scope among live roles. Built-in roles do not change."""

    name: str
    scope: RoleScope
    permissions: tuple[Permission, ...] = ()
    description: str | None = None
    is_built_in: bool = False

    @classmethod
    def create(cls, id: str, stamp: Stamp, *, scope: RoleScope, changes: RoleChanges) -> Self:
        """Version 1 of a role. Raises RuleBroken for an invalid field, and for a global role without permissions."""
        fields: RoleChanges = {"permissions": (), **changes}
        return cls._first(id, stamp, scope=scope, **_checked(scope, fields))

    @classmethod
    def built_in(cls, stamp: Stamp, definition: "BuiltIn") -> Self:
        """Version 1 of a built-in role."""
        scope, name, description, permissions = definition
        return cls._first(
            built_in_id(scope, name),
            stamp,
            scope=scope,
            name=name,
            description=description,
            permissions=tuple(sorted(permissions)),
            is_built_in=True,
        )

    def edit(self, stamp: Stamp, changes: RoleChanges) -> Self:
        """The role with these changes. Raises Conflict for a built-in role, RuleBroken for an invalid field."""
        self.require_live()
        self.require_own()
        return self._next(stamp, **_checked(self.scope, changes))

    def retire(self, stamp: Stamp) -> Self:
        """The retired role, which no longer grants anything to anybody. Raises Conflict for a built-in role."""
        self.require_own()
        return self.delete(stamp)

    def require_own(self) -> None:
        """Raises Conflict for a built-in role."""
        if self.is_built_in:
            raise Conflict("Built-in roles cannot be changed; create a role of your own.")


def built_in_id(scope: RoleScope, name: str) -> str:
    """The id of a built-in role, the same in every installation."""
    return derived_id("roles", scope, name)


BuiltIn = tuple[RoleScope, str, str, frozenset[Permission]]
"""Scope, name, description and permissions of a built-in role."""

BUILT_IN_ROLES: tuple[BuiltIn, ...] = (
    (RoleScope.GLOBAL, "admin", "Has every permission.", frozenset({Permission.ADMINISTER})),
    (RoleScope.GLOBAL, "moderator", "Sees and changes everybody's work.", frozenset({Permission.MODERATE})),
    (RoleScope.TEAM, "owner", "Owns the team; has every permission.", TEAM_PERMISSIONS),
    (RoleScope.TEAM, "admin", "Has every permission in the team.", TEAM_PERMISSIONS),
    (RoleScope.TEAM, "member", "Works on the team's tasks.", frozenset()),
)

BUILT_IN_ROLE_IDS = frozenset(built_in_id(scope, name) for scope, name, _, _ in BUILT_IN_ROLES)


def _checked(scope: RoleScope, changes: RoleChanges) -> RoleChanges:
    if "name" in changes:
        changes = {**changes, "name": require_name(changes["name"], "/name", longest=NAME_LENGTH_MAX)}
    if (description := changes.get("description")) is not None:
        require_text(description, "/description", longest=DESCRIPTION_LENGTH_MAX)
    if "permissions" not in changes:
        return changes
    foreign = [
        Violation(f"/permissions/{place}", f"is not available in scope {scope}")
        for place, permission in enumerate(changes["permissions"])
        if permission not in PERMISSIONS_OF[scope]
    ]
    if foreign:
        raise RuleBroken("These permissions are not available for this role's scope.", violations=foreign)
    if scope is RoleScope.GLOBAL and not changes["permissions"]:
        # An account stores the permissions and not the role, so an empty role could be neither granted nor revoked.
        raise RuleBroken(
            "A global role needs a permission.",
            violations=[Violation("/permissions", "must name at least one")],
        )
    return {**changes, "permissions": tuple(sorted(set(changes["permissions"])))}
