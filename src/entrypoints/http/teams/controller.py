"""/v1/teams."""

from collections.abc import Mapping
from typing import Any, cast

from litestar import get, patch, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from litestar.types import AnyCallable

from application.ports.repositories import TeamFilter
from domain.team import TeamChanges
from entrypoints.http.addresses import known_id
from entrypoints.http.history import HistoryController, Versioned
from entrypoints.http.projects.schemas import set_fields
from entrypoints.http.protocol.answers import Answer, HttpRequest, entity_answer, view_of
from entrypoints.http.protocol.input import read_body, read_patch
from entrypoints.http.protocol.operation import VIEW, documented
from entrypoints.http.queries import TeamQuery, TrashQuery, read_query, require_no_query
from entrypoints.http.searching import order_of
from entrypoints.http.security.authentication import actor_of
from entrypoints.http.team_desks import TeamDesk
from entrypoints.http.teams.schemas import TeamBody, TeamPatch, TeamView
from entrypoints.http.trash import Trashable, TrashController

PATH = "/v1/teams"


def _trashable(teams: NamedDependency[TeamDesk]) -> Trashable:
    return Trashable(load=teams.get, delete=teams.delete, restore=teams.restore, writing=teams.writing)


def _versioned(teams: NamedDependency[TeamDesk]) -> Versioned:
    return Versioned(
        collection="teams",
        load=teams.get,
        roll_back=teams.roll_back,
        list_versions=teams.list_versions,
        pages=teams.pages,
        writing=teams.writing,
    )


class TeamHistoryController(HistoryController):
    """The history of a team."""

    path = f"{PATH}/{{id:str}}"
    opt: Mapping[str, Any] | None = {VIEW: TeamView}
    dependencies: Mapping[str, Provide | AnyCallable] | None = {
        "versioned": Provide(_versioned, sync_to_thread=False)
    }


class TeamController(TrashController):
    """Teams."""

    path = PATH
    opt: Mapping[str, Any] | None = {VIEW: TeamView}
    dependencies: Mapping[str, Provide | AnyCallable] | None = {
        "trashable": Provide(_trashable, sync_to_thread=False)
    }

    @post(
        opt=documented(
            "Create a team and belong to it as its owner",
            status=201,
            answer=TeamView,
            body=TeamBody,
            is_tagged=True,
            is_repeatable=True,
        )
    )
    async def create(self, request: HttpRequest, teams: NamedDependency[TeamDesk]) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        changes = cast("TeamChanges", set_fields(await read_body(request, TeamBody)))
        return await teams.writing.create(
            request, actor, load=teams.get, run=lambda claimed: teams.create(claimed, changes)
        )

    @get(opt=documented("List your teams", page_of=TeamView, query=TeamQuery))
    async def list_all(self, request: HttpRequest, teams: NamedDependency[TeamDesk]) -> Answer:
        actor = actor_of(request)
        query = read_query(request, TeamQuery)
        wanted = TeamFilter(owner_id=query.owner_id, text=query.q or None)
        page = await teams.find(actor, wanted, teams.pages.wanted(request, query, sort=order_of(query)))
        return teams.pages.answer(request, page, view_of)

    @get("/trash", opt=documented("List your deleted teams", page_of=TeamView, query=TrashQuery))
    async def trash(self, request: HttpRequest, teams: NamedDependency[TeamDesk]) -> Answer:
        actor = actor_of(request)
        query = read_query(request, TrashQuery)
        wanted = teams.pages.wanted(request, query, sort=query.sort)
        page = await teams.find(actor, TeamFilter(deleted=True), wanted)
        return teams.pages.answer(request, page, view_of)

    @get("/{id:str}", opt=documented("Read a team", answer=TeamView, is_tagged=True))
    async def read(self, request: HttpRequest, id: FromPath[str], teams: NamedDependency[TeamDesk]) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        return entity_answer(request, await teams.get(actor, known_id(id)))

    @patch(
        "/{id:str}",
        opt=documented(
            "Change a team",
            answer=TeamView,
            body=TeamPatch,
            is_tagged=True,
            is_guarded=True,
            is_repeatable=True,
            also=(403,),
        ),
    )
    async def change(
        self, request: HttpRequest, id: FromPath[str], teams: NamedDependency[TeamDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        changes = cast("TeamChanges", set_fields(await read_patch(request, TeamPatch)))
        return await teams.writing.change(
            request,
            actor,
            id,
            load=teams.get,
            run=lambda claimed, expected: teams.edit(claimed, id, changes, expected_version=expected),
        )
