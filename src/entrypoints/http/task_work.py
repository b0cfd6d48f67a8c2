"""/v1/tasks/{id}/defer, /assign and /assignment."""

from litestar import Controller, delete, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from domain.assignment import Assignee
from entrypoints.http.protocol.answers import Answer, HttpRequest
from entrypoints.http.protocol.input import read_body
from entrypoints.http.protocol.operation import documented
from entrypoints.http.queries import require_no_query
from entrypoints.http.security.authentication import actor_of
from entrypoints.http.task_desks import TaskWorkDesk
from entrypoints.http.tasks.schemas import AssignBody, DeferBody
from entrypoints.http.views import TaskView


class TaskWorkController(Controller):
    """When a task is done, and by whom."""

    path = "/v1/tasks/{id:str}"

    @post(
        "/defer",
        status_code=200,
        opt=documented(
            "Put a task off; with null no longer",
            answer=TaskView,
            body=DeferBody,
            is_tagged=True,
            is_guarded=True,
            is_repeatable=True,
            also=(403,),
        ),
    )
    async def defer(
        self, request: HttpRequest, id: FromPath[str], work: NamedDependency[TaskWorkDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        until = (await read_body(request, DeferBody)).deferred_till
        return await work.writing.change(
            request,
            actor,
            id,
            load=work.get,
            run=lambda claimed, expected: work.defer(claimed, id, until, expected_version=expected),
        )

    @post(
        "/assign",
        status_code=200,
        opt=documented(
            "Give a task to a user or a team, instead of whoever had it",
            answer=TaskView,
            body=AssignBody,
            is_tagged=True,
            is_guarded=True,
            is_repeatable=True,
            also=(403,),
        ),
    )
    async def assign(
        self, request: HttpRequest, id: FromPath[str], work: NamedDependency[TaskWorkDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        body = await read_body(request, AssignBody)
        assignee = Assignee(body.assignee_id, body.assignee_type)
        return await work.writing.change(
            request,
            actor,
            id,
            load=work.get,
            run=lambda claimed, expected: work.assign(claimed, id, assignee, expected_version=expected),
        )

    # The framework wants a status that allows a body; the answer brings its own.
    @delete(
        "/assignment",
        status_code=200,
        opt=documented("End the assignment of a task", status=204, is_guarded=True, also=(403,)),
    )
    async def unassign(
        self, request: HttpRequest, id: FromPath[str], work: NamedDependency[TaskWorkDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        return await work.writing.remove(
            request,
            actor,
            id,
            load=work.get,
            run=lambda claimed, expected: work.unassign(claimed, id, expected_version=expected),
        )
