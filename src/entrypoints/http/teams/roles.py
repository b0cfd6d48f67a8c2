"""/v1/roles, and the global roles of users."""

from typing import Any

from application.accounts.users import GetUser
from application.actor import Actor
from application.paging import Page, PageRequest
from application.teams.granting import GrantGlobalRole, ListRolesOfUser, TakeGlobalRole
from application.teams.roles import CreateRole, DeleteRole, EditRole, GetRole, ListRoles
from domain.role import Role
from entrypoints.http.protocol.answers import Tagged, view_maker
from entrypoints.http.protocol.operation import Controller, operation
from entrypoints.http.protocol.resource import Resource
from entrypoints.http.protocol.schemas import set_fields
from entrypoints.http.teams.schemas import (
    RoleBody,
    RolePatch,
    RoleQuery,
    RolesHeldView,
    RolesInTeamView,
    RoleView,
)

_role_view = view_maker(Role, RoleView)


class RoleController(Controller, path="/v1/roles", collection="roles"):
    """Roles. All users can read them, administrators can change them."""

    get: GetRole
    create_role: CreateRole
    list_roles: ListRoles
    edit_role: EditRole
    delete_role: DeleteRole

    @operation("POST", summary="Create a role", status=201, view=RoleView, repeatable=True, also=(403,))
    async def create(self, actor: Actor, body: RoleBody) -> Role:
        changes: dict[str, Any] = set_fields(body)
        return await self.create_role(actor, changes.pop("scope"), changes)  # type: ignore[arg-type]

    @operation("GET", summary="List roles", page_of=RoleView)
    async def list_all(self, actor: Actor, query: RoleQuery, page: PageRequest) -> Page[Role]:
        return await self.list_roles(actor, query.scope, page)

    @operation("GET", "/{id}", summary="Read a role", view=RoleView)
    async def read(self, actor: Actor, id: str) -> Role:
        return await self.get(actor, id)

    @operation("PATCH", "/{id}", summary="Change a role", view=RoleView, repeatable=True, also=(403,))
    async def change(self, actor: Actor, id: str, body: RolePatch, expected: int | None) -> Role:
        return await self.edit_role(actor, id, set_fields(body), expected_version=expected)

    @operation(
        "DELETE",
        "/{id}",
        summary="Retire a role; it no longer grants any permission",
        status=204,
        also=(403,),
    )
    async def remove(self, actor: Actor, id: str, expected: int | None) -> Role:
        return await self.delete_role(actor, id, expected_version=expected)


class HeldRolesController(Controller, path="/v1/users/{id}/roles", collection="users"):
    """The roles of a user; administrators grant and revoke global ones."""

    get: GetUser
    list_held: ListRolesOfUser
    grant_role: GrantGlobalRole
    take_role: TakeGlobalRole

    @operation("GET", summary="List the roles of a user", view=RolesHeldView, stored=False, also=(403,))
    async def list_all(self, actor: Actor, id: str) -> RolesHeldView:
        held = await self.list_held(actor, id)
        return RolesHeldView(
            None if held.global_roles is None else tuple(map(_role_view, held.global_roles)),
            tuple(RolesInTeamView(one.team_id, tuple(map(_role_view, one.roles))) for one in held.teams),
        )

    @operation("PUT", "/{role_id}", summary="Grant a global role to a user", status=204, also=(403,))
    async def grant(self, actor: Actor, id: str, role_id: str, expected: int | None) -> Tagged:
        return await self.grant_role(actor, id, role_id, expected_version=expected)

    @operation("DELETE", "/{role_id}", summary="Revoke a global role from a user", status=204, also=(403,))
    async def take(self, actor: Actor, id: str, role_id: str, expected: int | None) -> Tagged:
        return await self.take_role(actor, id, role_id, expected_version=expected)


ROLES = Resource(
    controllers=(RoleController, HeldRolesController),
    collection="roles",
    view=RoleView,
    views={Role: _role_view},
)
