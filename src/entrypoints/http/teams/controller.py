"""/v1/teams."""

from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.repositories import TeamFilter
from application.teams.commands import (
    CreateTeam,
    DeleteTeam,
    EditTeam,
    GetTeam,
    ListTeams,
    RestoreTeam,
    RollBackTeam,
)
from domain.team import Team
from entrypoints.http.history import HistoryController
from entrypoints.http.protocol.operation import operation
from entrypoints.http.protocol.resource import Resource, shown_as
from entrypoints.http.protocol.schemas import TrashQuery, set_fields
from entrypoints.http.teams.schemas import TeamBody, TeamPatch, TeamQuery, TeamView
from entrypoints.http.trash import TrashController


class TeamController(TrashController, path="/v1/teams", collection="teams", view=TeamView):
    """Teams."""

    get: GetTeam
    delete: DeleteTeam
    restore: RestoreTeam
    create_team: CreateTeam
    list_teams: ListTeams
    edit_team: EditTeam

    @operation(
        "POST",
        summary="Create a team and become its owner",
        status=201,
        view=TeamView,
        repeatable=True,
    )
    async def create(self, actor: Actor, body: TeamBody) -> Team:
        return await self.create_team(actor, set_fields(body))

    @operation("GET", summary="List your teams", page_of=TeamView)
    async def list_all(self, actor: Actor, query: TeamQuery, page: PageRequest) -> Page[Team]:
        return await self.list_teams(actor, TeamFilter(owner_id=query.owner_id, text=query.text), page)

    @operation("GET", "/trash", summary="List your deleted teams", page_of=TeamView, query=TrashQuery)
    async def trash(self, actor: Actor, page: PageRequest) -> Page[Team]:
        return await self.list_teams(actor, TeamFilter(deleted=True), page)

    @operation("GET", "/{id}", summary="Read a team", view=TeamView)
    async def read(self, actor: Actor, id: str) -> Team:
        return await self.get(actor, id)

    @operation("PATCH", "/{id}", summary="Change a team", view=TeamView, repeatable=True, also=(403,))
    async def change(self, actor: Actor, id: str, body: TeamPatch, expected: int | None) -> Team:
        return await self.edit_team(actor, id, set_fields(body), expected_version=expected)


class TeamHistoryController(HistoryController, path="/v1/teams/{id}", collection="teams", view=TeamView):
    """The history of a team."""

    get: GetTeam
    roll_back: RollBackTeam


TEAMS = Resource(
    controllers=(TeamController, TeamHistoryController),
    collection="teams",
    view=TeamView,
    views=shown_as(Team, TeamView),
)
