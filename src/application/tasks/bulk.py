"""Many changes of tasks in one request: all together, or each on its own."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from application.actor import Actor
from application.paging import LIMIT_MAX, PageRequest, Sort
from application.ports.identifiers import Identifiers
from application.ports.repositories import AuditFilter
from application.ports.unit_of_work import UnitOfWork
from application.retrying import retry_conflicts
from application.tasks.access import visible_task
from application.tasks.bulk_operations import (
    OPERATIONS_MAX,
    CreateOperation,
    TaskOperation,
    UpdateOperation,
    doubled,
    doubled_places,
    identified,
    load_for,
    load_tasks,
    merged_error,
    placed,
)
from application.tasks.changes import TaskChange, TaskUseCase, TaskWriter, retry_taken_numbers
from application.tasks.details import TaskDetails, details_as_of, details_of_all
from application.use_case import UseCase
from domain.audit import Action, AuditEntry
from domain.errors import NotFound, TandemError, Unavailable, VersionConflict
from domain.task import Task

_ENTRY_PAGES_MAX = OPERATIONS_MAX // LIMIT_MAX * 2
_ONE_MILLISECOND = timedelta(milliseconds=1)


def _concerns_operation(
    conflict: VersionConflict, _use_case: object, _actor: Actor, operations: Sequence[TaskOperation]
) -> bool:
    return any(conflict.concerns("tasks", operation.id) for operation in operations)


@dataclass(frozen=True, slots=True)
class _WriteTasks(TaskUseCase):
    identifiers: Identifiers


class WriteTasksTogether(_WriteTasks):
    """Carries out all operations in one change set, or none. Raises the error of the first operation that fails, with
    the violations of all errors of its kind, each under `/operations/<place>`.
    """

    async def __call__(self, actor: Actor, operations: Sequence[TaskOperation]) -> list[TaskDetails]:
        named = identified(operations, self.identifiers)
        places = {operation.id: place for place, operation in enumerate(named)}
        try:
            return await self._attempt(actor, named)
        except VersionConflict as conflict:
            if conflict.violations or conflict.entity_id not in places:
                raise
            raise placed(conflict, places[conflict.entity_id]) from conflict

    @retry_taken_numbers
    @retry_conflicts(unless=_concerns_operation)
    async def _attempt(self, actor: Actor, operations: Sequence[TaskOperation]) -> list[TaskDetails]:
        writer = self.writer(actor)
        decided = await _decided(writer, operations)
        if errors := [placed(each, at) for at, each in enumerate(decided) if isinstance(each, TandemError)]:
            raise merged_error(errors)
        tasks = await writer.save_all([each for each in decided if isinstance(each, TaskChange)])
        await writer.work.commit()
        return await details_of_all(writer.work, actor, tasks, now=writer.stamp.at)


class ReadTasksWritten(UseCase):
    """The tasks that WriteTasksTogether wrote for the same operations, as they were then."""

    async def __call__(
        self, actor: Actor, operations: Sequence[TaskOperation], *, id: str, version: int
    ) -> list[TaskDetails]:
        """`id` and `version` name the task that was changed first. Raises NotFound if the actor may no longer see one
        of the tasks, or the audit trail no longer holds the entries.
        """
        work = self.begin(actor)
        entries = await _entries_made_with(work, id, version)
        made_ids = [entry.entity_id for entry in entries if entry.action is Action.CREATED]
        if not entries or len(made_ids) != sum(isinstance(each, CreateOperation) for each in operations):
            raise NotFound("The audit trail no longer holds the result of this request.")
        created, at = iter(made_ids), entries[0].at
        ids = [next(created) if isinstance(each, CreateOperation) else each.id for each in operations]
        versions = {entry.entity_id: entry.version for entry in entries}
        await load_tasks(work, actor, ids)
        tasks = []
        for task_id in ids:
            current = await visible_task(work, actor, task_id)
            made = versions.get(task_id) or await _version_at(work, current, at)
            task = current if made == current.version else await work.tasks.at_version(task_id, made)
            tasks.append(await details_as_of(work, actor, task, at=at))
        return tasks


class WriteTasksEach(_WriteTasks):
    """Carries out every operation that is valid, and answers the error of every other one, with violations that point
    into that operation.

    The valid ones share one change set. If it meets a concurrent change, each has its own.
    """

    async def __call__(
        self, actor: Actor, operations: Sequence[TaskOperation]
    ) -> list[TaskDetails | TandemError]:
        named = identified(operations, self.identifiers)
        try:
            return await self._attempt(actor, named)
        except VersionConflict:
            return await self._one_by_one(actor, named)

    @retry_taken_numbers
    async def _attempt(
        self, actor: Actor, operations: Sequence[TaskOperation]
    ) -> list[TaskDetails | TandemError]:
        writer = self.writer(actor)
        decided = await _decided(writer, operations)
        tasks = await writer.save_all([each for each in decided if isinstance(each, TaskChange)])
        await writer.work.commit()
        details = iter(await details_of_all(writer.work, actor, tasks, now=writer.stamp.at))
        return [each if isinstance(each, TandemError) else next(details) for each in decided]

    async def _one_by_one(
        self, actor: Actor, operations: Sequence[TaskOperation]
    ) -> list[TaskDetails | TandemError]:
        duplicates = doubled_places(operations)
        outcomes: list[TaskDetails | TandemError] = []
        for place, operation in enumerate(operations):
            try:
                outcomes.append(doubled() if place in duplicates else await self._one(actor, [operation]))
            except TandemError as error:
                outcomes.append(error)
        return outcomes

    @retry_conflicts(unless=_concerns_operation)
    async def _one(self, actor: Actor, operation: Sequence[TaskOperation]) -> TaskDetails:
        (outcome,) = await self._attempt(actor, operation)
        if isinstance(outcome, TandemError):
            raise outcome
        return outcome


async def _decided(writer: TaskWriter, operations: Sequence[TaskOperation]) -> list[TaskChange | TandemError]:
    """The change or the error of each operation. Raises Unavailable."""
    await load_for(writer.work, writer.actor, operations)
    duplicates = doubled_places(operations)
    decided: list[TaskChange | TandemError] = []
    for place, operation in enumerate(operations):
        try:
            decided.append(doubled() if place in duplicates else await _changed(writer, operation))
        except Unavailable:
            raise
        except TandemError as error:
            decided.append(error)
    return decided


async def _changed(writer: TaskWriter, operation: TaskOperation) -> TaskChange:
    if isinstance(operation, CreateOperation):
        return await writer.create(operation.id, operation.changes)
    if isinstance(operation, UpdateOperation):
        return await writer.edit(operation.id, operation.changes, expected_version=operation.expected_version)
    return await writer.delete(operation.id, expected_version=operation.expected_version)


async def _version_at(work: UnitOfWork, task: Task, at: datetime) -> int:
    """The version that a task had at a time: the one before its first later change. Needed for a task that the request
    did not change, because it has no entry of it.
    """
    if task.updated_at <= at:
        return task.version
    since = AuditFilter(collection="tasks", entity_id=task.id, since=at + _ONE_MILLISECOND)
    later = await work.audit.matching(since, PageRequest(limit=1, sort=Sort("at")))
    return later.items[0].version - 1 if later.items else task.version


async def _entries_made_with(work: UnitOfWork, id: str, version: int) -> list[AuditEntry]:
    """The entries of the change set that made this version of a task, in the order of saving."""
    first = await work.audit.of_version("tasks", id, version)
    if first is None:
        return []
    at_that_instant = AuditFilter(
        collection="tasks", actor_id=first.actor_id, since=first.at, until=first.at + _ONE_MILLISECOND
    )
    page: PageRequest | None = PageRequest(limit=LIMIT_MAX, sort=Sort("at"))
    entries: list[AuditEntry] = []
    for _ in range(_ENTRY_PAGES_MAX):
        if page is None:
            break
        found = await work.audit.matching(at_that_instant, page)
        entries += [entry for entry in found.items if entry.change_set_id == first.change_set_id]
        page = None if found.next is None else replace(page, after=found.next)
    return entries
