"""/v1/roles, and the global roles of users."""

from typing import cast

from litestar import Controller, delete, get, patch, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath

from domain.role import Role, RoleChanges
from entrypoints.http.addresses import known_id
from entrypoints.http.projects.schemas import set_fields
from entrypoints.http.protocol.answers import (
    NO_STORE,
    Answer,
    HttpRequest,
    entity_answer,
    view_answer,
    view_of,
)
from entrypoints.http.protocol.input import read_body, read_patch
from entrypoints.http.protocol.operation import documented
from entrypoints.http.queries import RoleQuery, read_query, require_no_query
from entrypoints.http.security.authentication import actor_of
from entrypoints.http.team_desks import RoleDesk
from entrypoints.http.teams.schemas import RoleBody, RolePatch, RolesHeldView, RolesInTeamView, RoleView


class RoleController(Controller):
    """Roles. Everybody reads them, administrators change them."""

    path = "/v1/roles"

    @post(
        opt=documented(
            "Create a role",
            status=201,
            answer=RoleView,
            body=RoleBody,
            is_tagged=True,
            is_repeatable=True,
            also=(403,),
        )
    )
    async def create(self, request: HttpRequest, roles: NamedDependency[RoleDesk]) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        body = await read_body(request, RoleBody)
        fields = set_fields(body)
        del fields["scope"]
        changes = cast("RoleChanges", fields)
        return await roles.writing.create(
            request, actor, load=roles.get, run=lambda claimed: roles.create(claimed, body.scope, changes)
        )

    @get(opt=documented("List roles", page_of=RoleView, query=RoleQuery))
    async def list_all(self, request: HttpRequest, roles: NamedDependency[RoleDesk]) -> Answer:
        actor = actor_of(request)
        query = read_query(request, RoleQuery)
        page = await roles.find(actor, query.scope, roles.pages.wanted(request, query, sort=query.sort))
        return roles.pages.answer(request, page, view_of)

    @get("/{id:str}", opt=documented("Read a role", answer=RoleView, is_tagged=True))
    async def read(self, request: HttpRequest, id: FromPath[str], roles: NamedDependency[RoleDesk]) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        return entity_answer(request, await roles.get(actor, known_id(id)))

    @patch(
        "/{id:str}",
        opt=documented(
            "Change a role",
            answer=RoleView,
            body=RolePatch,
            is_tagged=True,
            is_guarded=True,
            is_repeatable=True,
            also=(403,),
        ),
    )
    async def change(
        self, request: HttpRequest, id: FromPath[str], roles: NamedDependency[RoleDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        changes = cast("RoleChanges", set_fields(await read_patch(request, RolePatch)))
        return await roles.writing.change(
            request,
            actor,
            id,
            load=roles.get,
            run=lambda claimed, expected: roles.edit(claimed, id, changes, expected_version=expected),
        )

    # The framework wants a status that allows a body; the answer brings its own.
    @delete(
        "/{id:str}",
        status_code=200,
        opt=documented("Retire a role: it counts nowhere any more", status=204, is_guarded=True, also=(403,)),
    )
    async def remove(
        self, request: HttpRequest, id: FromPath[str], roles: NamedDependency[RoleDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        return await roles.writing.remove(
            request,
            actor,
            id,
            load=roles.get,
            run=lambda claimed, expected: roles.delete(claimed, id, expected_version=expected),
        )


def _role_view(role: Role) -> RoleView:
    return cast("RoleView", view_of(role))


class HeldRolesController(Controller):
    """What a user holds; everywhere, it is administrators who give and take."""

    path = "/v1/users/{id:str}/roles"

    @get(opt=documented("List what a user holds", answer=RolesHeldView, also=(403,)))
    async def list_all(
        self, request: HttpRequest, id: FromPath[str], roles: NamedDependency[RoleDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        held = await roles.held(actor, known_id(id))
        view = RolesHeldView(
            None if held.global_roles is None else tuple(map(_role_view, held.global_roles)),
            tuple(RolesInTeamView(one.team_id, tuple(map(_role_view, one.roles))) for one in held.teams),
        )
        return view_answer(view, headers=NO_STORE)

    @put(
        "/{role_id:str}",
        opt=documented("Give a user a global role", status=204, is_guarded=True, also=(403,)),
    )
    async def grant(
        self,
        request: HttpRequest,
        id: FromPath[str],
        role_id: FromPath[str],
        roles: NamedDependency[RoleDesk],
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        known_id(role_id)
        return await roles.writing.remove(
            request,
            actor,
            id,
            load=roles.user,
            run=lambda claimed, expected: roles.grant(claimed, id, role_id, expected_version=expected),
        )

    @delete(
        "/{role_id:str}",
        status_code=200,
        opt=documented("Take a global role from a user", status=204, is_guarded=True, also=(403,)),
    )
    async def take(
        self,
        request: HttpRequest,
        id: FromPath[str],
        role_id: FromPath[str],
        roles: NamedDependency[RoleDesk],
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        known_id(role_id)
        return await roles.writing.remove(
            request,
            actor,
            id,
            load=roles.user,
            run=lambda claimed, expected: roles.take(claimed, id, role_id, expected_version=expected),
        )
