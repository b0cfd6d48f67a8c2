"""/v1/projects."""

from collections.abc import Mapping
from typing import Any, cast

from litestar import get, patch, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from litestar.types import AnyCallable

from application.ports.repositories import ProjectFilter
from domain.project import ProjectChanges
from entrypoints.http.addresses import known_id
from entrypoints.http.desks import ProjectDesk
from entrypoints.http.history import HistoryController, Versioned
from entrypoints.http.projects.schemas import ProjectBody, ProjectPatch, set_fields
from entrypoints.http.protocol.answers import Answer, HttpRequest, entity_answer, view_of
from entrypoints.http.protocol.input import read_body, read_patch
from entrypoints.http.protocol.operation import VIEW, documented
from entrypoints.http.queries import ProjectQuery, TrashQuery, read_query, require_no_query
from entrypoints.http.searching import order_of
from entrypoints.http.security.authentication import actor_of
from entrypoints.http.trash import Trashable, TrashController
from entrypoints.http.views import ProjectView

PATH = "/v1/projects"


def _trashable(projects: NamedDependency[ProjectDesk]) -> Trashable:
    return Trashable(
        load=projects.get, delete=projects.delete, restore=projects.restore, writing=projects.writing
    )


def _versioned(projects: NamedDependency[ProjectDesk]) -> Versioned:
    return Versioned(
        collection="projects",
        load=projects.get,
        roll_back=projects.roll_back,
        list_versions=projects.list_versions,
        pages=projects.pages,
        writing=projects.writing,
    )


class ProjectHistoryController(HistoryController):
    """The history of a project."""

    path = f"{PATH}/{{id:str}}"
    opt: Mapping[str, Any] | None = {VIEW: ProjectView}
    dependencies: Mapping[str, Provide | AnyCallable] | None = {
        "versioned": Provide(_versioned, sync_to_thread=False)
    }


class ProjectController(TrashController):
    """Projects."""

    path = PATH
    opt: Mapping[str, Any] | None = {VIEW: ProjectView}
    dependencies: Mapping[str, Provide | AnyCallable] | None = {
        "trashable": Provide(_trashable, sync_to_thread=False)
    }

    @post(
        opt=documented(
            "Create a project",
            status=201,
            answer=ProjectView,
            body=ProjectBody,
            is_tagged=True,
            is_repeatable=True,
            also=(403,),
        )
    )
    async def create(self, request: HttpRequest, projects: NamedDependency[ProjectDesk]) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        changes = cast("ProjectChanges", set_fields(await read_body(request, ProjectBody)))
        return await projects.writing.create(
            request, actor, load=projects.get, run=lambda claimed: projects.create(claimed, changes)
        )

    @get(opt=documented("List projects", page_of=ProjectView, query=ProjectQuery))
    async def list_all(self, request: HttpRequest, projects: NamedDependency[ProjectDesk]) -> Answer:
        actor = actor_of(request)
        query = read_query(request, ProjectQuery)
        wanted = ProjectFilter(
            owner_id=query.owner_id, team_id=query.team_id, status=query.status, text=query.q or None
        )
        page = await projects.find(actor, wanted, projects.pages.wanted(request, query, sort=order_of(query)))
        return projects.pages.answer(request, page, view_of)

    @get("/trash", opt=documented("List deleted projects", page_of=ProjectView, query=TrashQuery))
    async def trash(self, request: HttpRequest, projects: NamedDependency[ProjectDesk]) -> Answer:
        actor = actor_of(request)
        query = read_query(request, TrashQuery)
        wanted = projects.pages.wanted(request, query, sort=query.sort)
        page = await projects.find(actor, ProjectFilter(deleted=True), wanted)
        return projects.pages.answer(request, page, view_of)

    @get("/{id:str}", opt=documented("Read a project", answer=ProjectView, is_tagged=True))
    async def read(
        self, request: HttpRequest, id: FromPath[str], projects: NamedDependency[ProjectDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        return entity_answer(request, await projects.get(actor, known_id(id)))

    @patch(
        "/{id:str}",
        opt=documented(
            "Change a project",
            answer=ProjectView,
            body=ProjectPatch,
            is_tagged=True,
            is_guarded=True,
            is_repeatable=True,
            also=(403,),
        ),
    )
    async def change(
        self, request: HttpRequest, id: FromPath[str], projects: NamedDependency[ProjectDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        changes = cast("ProjectChanges", set_fields(await read_patch(request, ProjectPatch)))
        return await projects.writing.change(
            request,
            actor,
            id,
            load=projects.get,
            run=lambda claimed, expected: projects.edit(claimed, id, changes, expected_version=expected),
        )
