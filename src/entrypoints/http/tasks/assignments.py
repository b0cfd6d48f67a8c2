"""/v1/task-assignments."""

from litestar import Controller, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from application.ports.repositories import TaskFilter
from domain.assignment import Assignee
from entrypoints.http.addresses import known_id
from entrypoints.http.protocol.answers import Answer, HttpRequest, entity_answer, view_of
from entrypoints.http.protocol.input import read_body, read_patch
from entrypoints.http.protocol.operation import documented
from entrypoints.http.queries import AssignmentQuery, read_query, require_no_query
from entrypoints.http.security.authentication import actor_of
from entrypoints.http.task_desks import AssignmentDesk
from entrypoints.http.tasks.schemas import AssignmentBody, AssignmentPatch, AssignmentView

NEWEST_FIRST = "-createdAt"


class AssignmentController(Controller):
    """Who is to do which task."""

    path = "/v1/task-assignments"

    @post(
        opt=documented(
            "Give a task to a user or a team, instead of whoever had it",
            status=201,
            answer=AssignmentView,
            body=AssignmentBody,
            is_tagged=True,
            is_repeatable=True,
            also=(403,),
        )
    )
    async def create(self, request: HttpRequest, assignments: NamedDependency[AssignmentDesk]) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        body = await read_body(request, AssignmentBody)
        assignee = Assignee(body.assignee_id, body.assignee_type)
        return await assignments.writing.create(
            request,
            actor,
            load=assignments.made,
            run=lambda claimed: assignments.create(claimed, body.task_id, assignee),
        )

    @get(
        opt=documented(
            "List live assignments, those of the newest tasks first",
            page_of=AssignmentView,
            query=AssignmentQuery,
        )
    )
    async def list_all(self, request: HttpRequest, assignments: NamedDependency[AssignmentDesk]) -> Answer:
        actor = actor_of(request)
        query = read_query(request, AssignmentQuery)
        wanted = TaskFilter(
            ids=None if query.task_id is None else (query.task_id,),
            assignee_id=query.assignee_id,
            executor_id=query.executor_id,
        )
        page = await assignments.find(
            actor, wanted, assignments.pages.wanted(request, query, sort=NEWEST_FIRST)
        )
        return assignments.pages.answer(request, page, view_of)

    @get("/{id:str}", opt=documented("Read an assignment", answer=AssignmentView, is_tagged=True))
    async def read(
        self, request: HttpRequest, id: FromPath[str], assignments: NamedDependency[AssignmentDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        return entity_answer(request, await assignments.get(actor, known_id(id)))

    @patch(
        "/{id:str}",
        opt=documented(
            "Say who of the team does its task",
            answer=AssignmentView,
            body=AssignmentPatch,
            is_tagged=True,
            is_guarded=True,
            is_repeatable=True,
            also=(403,),
        ),
    )
    async def change(
        self, request: HttpRequest, id: FromPath[str], assignments: NamedDependency[AssignmentDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        executor_id = (await read_patch(request, AssignmentPatch)).executor_id
        return await assignments.writing.change(
            request,
            actor,
            id,
            load=assignments.get,
            run=lambda claimed, expected: assignments.choose_executor(
                claimed, id, executor_id, expected_version=expected
            ),
        )

    # The framework wants a status that allows a body; the answer brings its own.
    @delete(
        "/{id:str}",
        status_code=200,
        opt=documented("End an assignment", status=204, is_guarded=True, also=(403,)),
    )
    async def remove(
        self, request: HttpRequest, id: FromPath[str], assignments: NamedDependency[AssignmentDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        return await assignments.writing.remove(
            request,
            actor,
            id,
            load=assignments.get,
            run=lambda claimed, expected: assignments.end(claimed, id, expected_version=expected),
        )
