"""/v1/task-assignments."""

from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.repositories import TaskFilter
from application.tasks.assignments import (
    ChooseExecutor,
    CreateAssignment,
    EndAssignment,
    GetAssignment,
    GetMadeAssignment,
    ListAssignments,
)
from domain.assignment import Assignee, TaskAssignment
from entrypoints.http.protocol.operation import Controller, operation
from entrypoints.http.protocol.resource import Resource, shown_as
from entrypoints.http.tasks.queries import AssignmentQuery
from entrypoints.http.tasks.schemas import AssignmentBody, AssignmentPatch, AssignmentView


async def _replay_creation(
    controller: "AssignmentController", actor: Actor, task_id: str, version: int
) -> TaskAssignment:
    """The created assignment, read by its task: assignments have no audit entries of their own."""
    return await controller.get_made(actor, task_id, version=version)


class AssignmentController(Controller, path="/v1/task-assignments", collection="task_assignments"):
    """Assignments of tasks to users and teams."""

    get: GetAssignment
    get_made: GetMadeAssignment
    create_assignment: CreateAssignment
    list_assignments: ListAssignments
    choose_executor: ChooseExecutor
    end_assignment: EndAssignment

    @operation(
        "POST",
        summary="Assign a task to a user or a team, replacing its current assignee",
        status=201,
        view=AssignmentView,
        repeatable=True,
        replay=_replay_creation,
        also=(403,),
    )
    async def create(self, actor: Actor, body: AssignmentBody) -> TaskAssignment:
        assignee = Assignee(body.assignee_id, body.assignee_type)
        return await self.create_assignment(actor, body.task_id, assignee)

    @operation("GET", summary="List active assignments, newest tasks first", page_of=AssignmentView)
    async def list_all(self, actor: Actor, query: AssignmentQuery, page: PageRequest) -> Page[TaskAssignment]:
        filters = TaskFilter(
            ids=None if query.task_id is None else (query.task_id,),
            assignee_ids=None if query.assignee_id is None else (query.assignee_id,),
            executor_id=query.executor_id,
        )
        return await self.list_assignments(actor, filters, page)

    @operation("GET", "/{id}", summary="Read an assignment", view=AssignmentView)
    async def read(self, actor: Actor, id: str) -> TaskAssignment:
        return await self.get(actor, id)

    @operation(
        "PATCH",
        "/{id}",
        summary="Choose the team member who executes the task",
        view=AssignmentView,
        repeatable=True,
        also=(403,),
    )
    async def change(
        self, actor: Actor, id: str, body: AssignmentPatch, expected: int | None
    ) -> TaskAssignment:
        return await self.choose_executor(actor, id, body.executor_id, expected_version=expected)

    @operation("DELETE", "/{id}", summary="End an assignment", status=204, also=(403,))
    async def remove(self, actor: Actor, id: str, expected: int | None) -> TaskAssignment:
        return await self.end_assignment(actor, id, expected_version=expected)


ASSIGNMENTS = Resource(
    controllers=(AssignmentController,),
    collection="task_assignments",
    view=AssignmentView,
    views=shown_as(TaskAssignment, AssignmentView),
)
