"""/v1/users."""

from typing import cast

from litestar import Controller, get, patch
from litestar.di import NamedDependency
from litestar.params import FromPath

from domain.user import UserChanges
from entrypoints.http.addresses import known_id
from entrypoints.http.desks import UserDesk
from entrypoints.http.projects.schemas import UserPatch, set_fields
from entrypoints.http.protocol.answers import NO_STORE, Answer, HttpRequest, entity_answer, view_of
from entrypoints.http.protocol.input import read_patch
from entrypoints.http.protocol.operation import documented
from entrypoints.http.queries import UserQuery, read_query, require_no_query
from entrypoints.http.security.authentication import actor_of
from entrypoints.http.views import UserView

ORDER = "createdAt"


class UserController(Controller):
    """Accounts and profiles."""

    path = "/v1/users"

    @get(
        opt=documented(
            "Search users by words of their names, or one by his whole address",
            page_of=UserView,
            query=UserQuery,
        )
    )
    async def search(self, request: HttpRequest, users: NamedDependency[UserDesk]) -> Answer:
        actor = actor_of(request)
        query = read_query(request, UserQuery)
        page = await users.search(actor, query.search or "", users.pages.wanted(request, query, sort=ORDER))
        return users.pages.answer(request, page, view_of, headers=NO_STORE)

    @get("/me", opt=documented("Read who you are", answer=UserView, is_tagged=True, also=(404,)))
    async def me(self, request: HttpRequest, users: NamedDependency[UserDesk]) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        return entity_answer(request, await users.get(actor, actor.id), headers=NO_STORE)

    @get("/{id:str}", opt=documented("Read a user", answer=UserView, is_tagged=True))
    async def read(self, request: HttpRequest, id: FromPath[str], users: NamedDependency[UserDesk]) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        return entity_answer(request, await users.get(actor, known_id(id)), headers=NO_STORE)

    @patch(
        "/{id:str}",
        opt=documented(
            "Change a profile",
            answer=UserView,
            body=UserPatch,
            is_tagged=True,
            is_guarded=True,
            is_repeatable=True,
            also=(403,),
        ),
    )
    async def change(
        self, request: HttpRequest, id: FromPath[str], users: NamedDependency[UserDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        changes = cast("UserChanges", set_fields(await read_patch(request, UserPatch)))
        return await users.writing.change(
            request,
            actor,
            id,
            load=users.get,
            run=lambda claimed, expected: users.edit(claimed, id, changes, expected_version=expected),
            headers=NO_STORE,
        )
