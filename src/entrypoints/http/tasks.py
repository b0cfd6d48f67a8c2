"""/v1/tasks."""

from collections.abc import Collection, Mapping
from typing import Any, cast

import msgspec
from litestar import get, patch, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath
from litestar.types import AnyCallable

from application.ports.repositories import TaskFilter
from application.tasks.details import NO_EXPANSIONS, Expansion, Expansions
from domain.name import require_one_line
from domain.task import Priority, TaskChanges, TaskStatus
from entrypoints.http.addresses import known_id
from entrypoints.http.authentication import actor_of
from entrypoints.http.bodies import TaskBody, TaskPatch, set_fields
from entrypoints.http.body_reading import read_body, read_patch
from entrypoints.http.desks import TaskDesk
from entrypoints.http.documentation import VIEW, documented
from entrypoints.http.history import HistoryController, Versioned
from entrypoints.http.queries import (
    TaskQuery,
    TaskTrashQuery,
    TaskViewQuery,
    read_query,
    require_no_query,
)
from entrypoints.http.rendering import Answer, HttpRequest, entity_answer, view_of
from entrypoints.http.searching import order_of
from entrypoints.http.trash import Trashable, TrashController
from entrypoints.http.views import ShownStatus, TaskView

PATH = "/v1/tasks"
_CLEARED: TaskChanges = {"label_ids": (), "priority": Priority.MEDIUM}
"""What null means for fields that a task always has: what they are in a task made without them."""


def changes_of(body: msgspec.Struct, *, without: Collection[str] = ()) -> TaskChanges:
    """The changes that a body asks for; some of its fields may be about something else. Raises RuleBroken for a title
    of several lines: people write none, while one that comes with an import stays as it is.
    """
    fields = {name: value for name, value in set_fields(body).items() if name not in without}
    if "title" in fields:
        require_one_line(fields["title"], "/title")
    if fields.get("priority") is not None:
        fields["priority"] = Priority[fields["priority"]]
    cleared = {name: value for name, value in _CLEARED.items() if name in fields and fields[name] is None}
    return cast("TaskChanges", fields | cleared)


def expansions_of(expand: str | None) -> Expansions:
    """The parts that a checked list of words names."""
    return NO_EXPANSIONS if expand is None else frozenset(map(Expansion, expand.strip().split(",")))


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


def _trashable(tasks: NamedDependency[TaskDesk]) -> Trashable:
    return Trashable(load=tasks.get, delete=tasks.delete, restore=tasks.restore, writing=tasks.writing)


def _versioned(tasks: NamedDependency[TaskDesk]) -> Versioned:
    return Versioned(
        collection="tasks",
        load=tasks.get,
        roll_back=tasks.roll_back,
        list_versions=tasks.list_versions,
        pages=tasks.pages,
        writing=tasks.writing,
    )


class TaskHistoryController(HistoryController):
    """The history of a task."""

    path = f"{PATH}/{{id:str}}"
    opt: Mapping[str, Any] | None = {VIEW: TaskView}
    dependencies: Mapping[str, Provide | AnyCallable] | None = {
        "versioned": Provide(_versioned, sync_to_thread=False)
    }


class TaskController(TrashController):
    """Tasks."""

    path = PATH
    opt: Mapping[str, Any] | None = {VIEW: TaskView}
    dependencies: Mapping[str, Provide | AnyCallable] | None = {
        "trashable": Provide(_trashable, sync_to_thread=False)
    }

    @post(
        opt=documented(
            "Create a task", status=201, answer=TaskView, body=TaskBody, is_tagged=True, is_repeatable=True
        )
    )
    async def create(self, request: HttpRequest, tasks: NamedDependency[TaskDesk]) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        changes = changes_of(await read_body(request, TaskBody))
        return await tasks.writing.create(
            request, actor, load=tasks.get, run=lambda claimed: tasks.create(claimed, changes)
        )

    @get(opt=documented("List tasks", page_of=TaskView, query=TaskQuery))
    async def list_all(self, request: HttpRequest, tasks: NamedDependency[TaskDesk]) -> Answer:
        actor = actor_of(request)
        query = read_query(request, TaskQuery)
        page = await tasks.find(
            actor,
            _filter_of(query),
            tasks.pages.wanted(request, query, sort=order_of(query)),
            watching=query.watching,
            expand=expansions_of(query.expand),
        )
        return tasks.pages.answer(request, page, view_of)

    @get("/trash", opt=documented("List deleted tasks", page_of=TaskView, query=TaskTrashQuery))
    async def trash(self, request: HttpRequest, tasks: NamedDependency[TaskDesk]) -> Answer:
        actor = actor_of(request)
        query = read_query(request, TaskTrashQuery)
        wanted = tasks.pages.wanted(request, query, sort=query.sort)
        page = await tasks.find(actor, TaskFilter(deleted=True), wanted, expand=expansions_of(query.expand))
        return tasks.pages.answer(request, page, view_of)

    @get("/{id:str}", opt=documented("Read a task", answer=TaskView, query=TaskViewQuery, is_tagged=True))
    async def read(self, request: HttpRequest, id: FromPath[str], tasks: NamedDependency[TaskDesk]) -> Answer:
        actor = actor_of(request)
        query = read_query(request, TaskViewQuery)
        seen = await tasks.get(actor, known_id(id), expand=expansions_of(query.expand))
        return entity_answer(request, seen, is_cacheable_by_version=seen.is_cacheable_by_version)

    @patch(
        "/{id:str}",
        opt=documented(
            "Change a task",
            answer=TaskView,
            body=TaskPatch,
            is_tagged=True,
            is_guarded=True,
            is_repeatable=True,
            also=(403,),
        ),
    )
    async def change(
        self, request: HttpRequest, id: FromPath[str], tasks: NamedDependency[TaskDesk]
    ) -> Answer:
        actor = actor_of(request)
        require_no_query(request)
        changes = changes_of(await read_patch(request, TaskPatch))
        return await tasks.writing.change(
            request,
            actor,
            id,
            load=tasks.get,
            run=lambda claimed, expected: tasks.edit(claimed, id, changes, expected_version=expected),
        )
