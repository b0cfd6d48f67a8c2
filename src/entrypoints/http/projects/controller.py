"""/v1/projects."""

from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.repositories import ProjectFilter
from application.projects.commands import (
    CreateProject,
    DeleteProject,
    EditProject,
    GetProject,
    ListProjects,
    RestoreProject,
    RollBackProject,
)
from domain.project import Project
from entrypoints.http.history import HistoryController
from entrypoints.http.projects.schemas import ProjectBody, ProjectPatch, ProjectQuery, ProjectView
from entrypoints.http.protocol.operation import operation
from entrypoints.http.protocol.resource import Resource, shown_as
from entrypoints.http.protocol.schemas import TrashQuery, set_fields
from entrypoints.http.trash import TrashController


class ProjectController(TrashController, path="/v1/projects", collection="projects", view=ProjectView):
    """Projects."""

    get: GetProject
    delete: DeleteProject
    restore: RestoreProject
    create_project: CreateProject
    list_projects: ListProjects
    edit_project: EditProject

    @operation("POST", summary="Create a project", status=201, view=ProjectView, repeatable=True, also=(403,))
    async def create(self, actor: Actor, body: ProjectBody) -> Project:
        return await self.create_project(actor, set_fields(body))

    @operation("GET", summary="List projects", page_of=ProjectView)
    async def list_all(self, actor: Actor, query: ProjectQuery, page: PageRequest) -> Page[Project]:
        filters = ProjectFilter(
            owner_id=query.owner_id, team_id=query.team_id, status=query.status, text=query.text
        )
        return await self.list_projects(actor, filters, page)

    @operation("GET", "/trash", summary="List deleted projects", page_of=ProjectView, query=TrashQuery)
    async def trash(self, actor: Actor, page: PageRequest) -> Page[Project]:
        return await self.list_projects(actor, ProjectFilter(deleted=True), page)

    @operation("GET", "/{id}", summary="Read a project", view=ProjectView)
    async def read(self, actor: Actor, id: str) -> Project:
        return await self.get(actor, id)

    @operation("PATCH", "/{id}", summary="Change a project", view=ProjectView, repeatable=True, also=(403,))
    async def change(self, actor: Actor, id: str, body: ProjectPatch, expected: int | None) -> Project:
        return await self.edit_project(actor, id, set_fields(body), expected_version=expected)


class ProjectHistoryController(
    HistoryController, path="/v1/projects/{id}", collection="projects", view=ProjectView
):
    """The history of a project."""

    get: GetProject
    roll_back: RollBackProject


PROJECTS = Resource(
    controllers=(ProjectController, ProjectHistoryController),
    collection="projects",
    view=ProjectView,
    views=shown_as(Project, ProjectView),
)
