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
from domain.task_changes import TaskLink
from entrypoints.http.history import HistoryController
from entrypoints.http.protocol.answers import Tagged, Volatile, display_text
from entrypoints.http.protocol.operation import operation
from entrypoints.http.protocol.resource import Resource
from entrypoints.http.protocol.schemas import moment_of, set_fields, values_of
from entrypoints.http.tasks.queries import TaskQuery, TaskTrashQuery, TaskViewQuery, expansions_of
from entrypoints.http.tasks.schemas import (
    AssignBody,
    DeferBody,
    ShownStatus,
    TaskBody,
    TaskPatch,
    TaskView,
    task_view,
)
from entrypoints.http.trash import TrashController

_CLEARED: TaskChanges = {"label_ids": (), "links": (), "priority": Priority.MEDIUM}
"""Defaults that replace null for fields that a task always has."""


def changes_of(body: msgspec.Struct, *, without: Collection[str] = ()) -> TaskChanges:
    """The changes in a body, apart from the fields in `without`."""
    fields = {name: value for name, value in set_fields(body).items() if name not in without}
    if fields.get("priority") is not None:
        fields["priority"] = Priority[fields["priority"]]
    if fields.get("links") is not None:
        fields["links"] = msgspec.convert(fields["links"], tuple[TaskLink, ...], from_attributes=True)
    cleared = {name: value for name, value in _CLEARED.items() if name in fields and fields[name] is None}
    return cast("TaskChanges", fields | cleared)


def _filter_of(query: TaskQuery, actor: Actor) -> TaskFilter:
    statuses = None if query.status is None else values_of(query.status)
    numbers = _values(query.display_id)
    priorities = _values(query.priority)
    return TaskFilter(
        ids=_values(query.ids),
        display_ids=None if numbers is None else tuple(int(text.removeprefix("#")) for text in numbers),
        created_by=_references(query.created_by, actor),
        project_ids=_references(query.project_id, actor),
        parent_ids=_references(query.parent_id, actor),
        team_ids=_values(query.team_id),
        assignee_ids=_references(query.assignee_id, actor),
        statuses=_stored_statuses(statuses),
        deferred=None if statuses is None else ShownStatus.DEFERRED in statuses,
        priorities=None if priorities is None else tuple(Priority[name] for name in priorities),
        label_ids=_values(query.label_id),
        due_after=moment_of(query.due_after),
        due_before=moment_of(query.due_before),
        is_overdue=query.overdue,
        updated_after=moment_of(query.updated_after),
        text=query.text,
    )


def _values(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else values_of(text)


def _references(text: str | None, actor: Actor) -> tuple[str | None, ...] | None:
    """The ids in a parameter: `me` is the caller, `none` stands for no value."""
    if text is None:
        return None
    named: dict[str, str | None] = {"me": actor.id, "none": None}
    return tuple(dict.fromkeys(named.get(value, value) for value in values_of(text)))


def _stored_statuses(shown: tuple[str, ...] | None) -> tuple[TaskStatus, ...] | None:
    """The statuses in a filter without DEFERRED, which is not stored; None if nothing else was named."""
    stored = tuple(TaskStatus(name) for name in shown or () if name != ShownStatus.DEFERRED)
    return stored or None


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
            actor, _filter_of(query, actor), page, watching=query.watching, expand=expansions
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

    @operation(
        "PATCH",
        "/{id}",
        summary="Change a task",
        description="A task that moves into a project, with `projectId`, is visible to everybody who can see the "
        "project, with its whole history: also earlier versions, from when it was private or elsewhere.",
        view=TaskView,
        repeatable=True,
        also=(403,),
    )
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
