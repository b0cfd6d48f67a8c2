"""/v1/tasks, including deferring and assigning a task."""

from collections.abc import Collection
from typing import cast

import msgspec

from application.actor import Actor
from application.paging import Page, PageRequest
from application.ports.repositories import TaskFilter
from application.tasks.assignments import AssignTask, UnassignTask
from application.tasks.commands import (
    CreateTask,
    DeferTask,
    DeleteTask,
    EditTask,
    RestoreTask,
    RollBackTask,
)
from application.tasks.details import TaskDetails
from application.tasks.reading import GetTask, ListTasks
from domain.assignment import Assignee
from domain.task import Priority, TaskChanges, TaskStatus
from entrypoints.http.history import HistoryController
from entrypoints.http.protocol.answers import Tagged, Volatile, display_text
from entrypoints.http.protocol.operation import operation
from entrypoints.http.protocol.resource import Resource
from entrypoints.http.protocol.schemas import set_fields
from entrypoints.http.tasks.schemas import (
    AssignBody,
    DeferBody,
    ShownStatus,
    TaskBody,
    TaskPatch,
    TaskQuery,
    TaskTrashQuery,
    TaskView,
    TaskViewQuery,
    expansions_of,
    task_view,
)
from entrypoints.http.trash import TrashController

_CLEARED: TaskChanges = {"label_ids": (), "priority": Priority.MEDIUM}
"""Defaults that replace null for fields that a task always has."""


def changes_of(body: msgspec.Struct, *, without: Collection[str] = ()) -> TaskChanges:
    """The changes in a body, apart from the fields in `without`."""
    fields = {name: value for name, value in set_fields(body).items() if name not in without}
    if fields.get("priority") is not None:
        fields["priority"] = Priority[fields["priority"]]
    cleared = {name: value for name, value in _CLEARED.items() if name in fields and fields[name] is None}
    return cast("TaskChanges", fields | cleared)


def _filter_of(query: TaskQuery) -> TaskFilter:
    is_about_deferred = query.status is ShownStatus.DEFERRED
    return TaskFilter(
        created_by=query.created_by,
        project_id=query.project_id,
        team_id=query.team_id,
        assignee_id=query.assignee_id,
        status=None if query.status is None or is_about_deferred else TaskStatus(query.status),
        deferred=None if query.status is None else is_about_deferred,
        priority=None if query.priority is None else Priority[query.priority],
        label_id=query.label_id,
        due_before=query.due_before,
        due_after=query.due_after,
        text=query.q or None,
    )


class TaskController(TrashController, path="/v1/tasks", collection="tasks", view=TaskView):
    """Tasks."""

    get: GetTask
    delete: DeleteTask
    restore: RestoreTask
    create_task: CreateTask
    list_tasks: ListTasks
    edit_task: EditTask
    defer_task: DeferTask
    assign_task: AssignTask
    unassign_task: UnassignTask

    @operation("POST", summary="Create a task", status=201, view=TaskView, repeatable=True)
    async def create(self, actor: Actor, body: TaskBody) -> TaskDetails:
        return await self.create_task(actor, changes_of(body))

    @operation("GET", summary="List tasks", page_of=TaskView)
    async def list_all(self, actor: Actor, query: TaskQuery, page: PageRequest) -> Page[TaskDetails]:
        expansions = expansions_of(query.expand)
        return await self.list_tasks(
            actor, _filter_of(query), page, watching=query.watching, expand=expansions
        )

    @operation("GET", "/trash", summary="List deleted tasks", page_of=TaskView)
    async def trash(self, actor: Actor, query: TaskTrashQuery, page: PageRequest) -> Page[TaskDetails]:
        return await self.list_tasks(
            actor, TaskFilter(deleted=True), page, expand=expansions_of(query.expand)
        )

    @operation("GET", "/{id}", summary="Read a task", view=TaskView)
    async def read(self, actor: Actor, id: str, query: TaskViewQuery) -> Tagged | Volatile:
        details = await self.get(actor, id, expand=expansions_of(query.expand))
        return details if details.is_cacheable_by_version else Volatile(details)

    @operation("PATCH", "/{id}", summary="Change a task", view=TaskView, repeatable=True, also=(403,))
    async def change(self, actor: Actor, id: str, body: TaskPatch, expected: int | None) -> TaskDetails:
        return await self.edit_task(actor, id, changes_of(body), expected_version=expected)

    @operation(
        "POST",
        "/{id}/defer",
        summary="Defer a task until a time, or end the deferral with null",
        view=TaskView,
        repeatable=True,
        also=(403,),
    )
    async def defer(self, actor: Actor, id: str, body: DeferBody, expected: int | None) -> TaskDetails:
        return await self.defer_task(actor, id, body.deferred_till, expected_version=expected)

    @operation(
        "POST",
        "/{id}/assign",
        summary="Assign a task to a user or a team, replacing its current assignee",
        view=TaskView,
        repeatable=True,
        also=(403,),
    )
    async def assign(self, actor: Actor, id: str, body: AssignBody, expected: int | None) -> TaskDetails:
        assignee = Assignee(body.assignee_id, body.assignee_type)
        return await self.assign_task(actor, id, assignee, expected_version=expected)

    @operation("DELETE", "/{id}/assignment", summary="End the assignment of a task", status=204, also=(403,))
    async def unassign(self, actor: Actor, id: str, expected: int | None) -> TaskDetails:
        return await self.unassign_task(actor, id, expected_version=expected)


class TaskHistoryController(HistoryController, path="/v1/tasks/{id}", collection="tasks", view=TaskView):
    """The history of a task."""

    get: GetTask
    roll_back: RollBackTask


def _priority_name(rank: int) -> str:
    return Priority(rank).name


TASKS = Resource(
    controllers=(TaskController, TaskHistoryController),
    collection="tasks",
    view=TaskView,
    views={TaskDetails: task_view},
    shown_values={"priority": _priority_name, "displayId": display_text},
)
