"""Changes of one or many tasks within one unit of work."""

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from application.actor import Actor
from application.ports.display_numbers import DisplayNumbers
from application.ports.unit_of_work import UnitOfWork
from application.reassignment import reopened_assignment
from application.tasks.access import changeable_task, deletable_task, require_can_move
from application.tasks.references import Lineages, ownership_after
from application.use_case import TimedUseCase
from domain.assignment import TaskAssignment
from domain.audit import Action
from domain.entity import Stamp
from domain.errors import AlreadyExists, RuleBroken, Violation
from domain.task import Task, TaskChanges, TaskStatus

NUMBER_RETRIES_MAX = 3

N = TypeVar("N", bound="_Numbering")
P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class TaskChange:
    """A task before (None for a new one) and after, and its assignment if that changes too."""

    before: Task | None
    after: Task
    assignment: TaskAssignment | None = None


@dataclass(frozen=True, slots=True)
class TaskWriter:
    """Decides changes for one actor under one stamp. Only `save` and `save_all` add them to the unit of work."""

    work: UnitOfWork
    actor: Actor
    stamp: Stamp
    numbers: DisplayNumbers
    _lineages: Lineages = field(default_factory=Lineages)
    _discarded: set[str] = field(default_factory=set)

    async def create(self, id: str, changes: TaskChanges) -> TaskChange:
        """A new task. Raises RuleBroken for an invalid field or reference."""
        self._require_kept_parent(changes)
        ownership = await ownership_after(self.work, self.actor, changes, before=None)
        return TaskChange(None, Task.create(id, self.stamp, changes, ownership=ownership))

    async def edit(self, id: str, changes: TaskChanges, *, expected_version: int | None) -> TaskChange:
        """The task with these changes. Raises NotFound, Forbidden, VersionConflict, Conflict or RuleBroken."""
        task = await changeable_task(self.work, self.actor, id)
        task.require_version(expected_version)
        if changes.get("project_id", task.project_id) != task.project_id:
            await require_can_move(self.work, self.actor, task)
        return await self.moved(task, task.edit(self.stamp, changes), changes)

    async def moved(self, before: Task, after: Task, changes: TaskChanges) -> TaskChange:
        """The change of a task with the ownership that its references require. Raises RuleBroken for a reference."""
        self._require_kept_parent(changes)
        ownership = await ownership_after(
            self.work, self.actor, changes, before=before, lineages=self._lineages
        )
        if after.parent_id != before.parent_id:
            self._lineages.move(before.id, after.parent_id)
        if ownership != after.ownership:
            after = replace(after, owner_id=ownership.owner_id, team_id=ownership.team_id)
        return await self.reopened(before, after)

    async def reopened(self, before: Task, after: Task) -> TaskChange:
        """The change; a task that is no longer done loses an executor who has left the assigned team."""
        if before.status is not TaskStatus.DONE or after.status is TaskStatus.DONE:
            return TaskChange(before, after)
        assignment = await reopened_assignment(self.work, after, self.stamp)
        return TaskChange(
            before, after if assignment is None else replace(after, executor_id=None), assignment
        )

    def _require_kept_parent(self, changes: TaskChanges) -> None:
        if changes.get("parent_id") in self._discarded:
            violation = Violation("/parentId", "is deleted by an earlier operation")
            raise RuleBroken("The task refers to something that does not exist.", violations=[violation])

    async def delete(self, id: str, *, expected_version: int | None) -> TaskChange:
        """The task in the trash; its assignment and watches stay. Raises as `edit`."""
        task = await deletable_task(self.work, self.actor, id)
        task.require_version(expected_version)
        self._discarded.add(id)
        return TaskChange(task, task.discard(self.stamp))

    async def save(self, change: TaskChange, *, action: Action | None = None) -> Task:
        """Adds a change to the unit of work and answers the task as it will be stored."""
        return (await self.save_all([change], action=action))[0]

    async def save_all(self, changes: Sequence[TaskChange], *, action: Action | None = None) -> list[Task]:
        """Adds changes to the unit of work in their order. Changed tasks without a number get one."""
        lacking = [
            change.after.id
            for change in changes
            if change.after.display_id is None and change.after is not change.before
        ]
        given = dict(zip(lacking, await self._fresh(len(lacking)), strict=True))
        tasks = [
            change.after.numbered(given[change.after.id]) if change.after.id in given else change.after
            for change in changes
        ]
        for task in tasks:
            self.work.tasks.save(task, action=action)
        # After all tasks, because a repeated request looks for the first entry.
        for change in changes:
            if change.assignment is not None:
                self.work.assignments.save(change.assignment)
        return tasks

    async def _fresh(self, count: int) -> Sequence[int]:
        if count == 1:
            return [await self.numbers.next()]
        return await self.numbers.several(count) if count else ()


@dataclass(frozen=True, slots=True)
class TaskUseCase(TimedUseCase):
    """A use case that changes existing tasks."""

    numbers: DisplayNumbers

    def writer(self, actor: Actor) -> TaskWriter:
        """A writer over a new unit of work."""
        return TaskWriter(self.begin(actor), actor, self.stamp(actor), self.numbers)


class _Numbering(Protocol):
    @property
    def numbers(self) -> DisplayNumbers: ...


def retry_taken_numbers(
    method: Callable[Concatenate[N, P], Awaitable[R]],
) -> Callable[Concatenate[N, P], Coroutine[Any, Any, R]]:
    """Calls the method again, at most NUMBER_RETRIES_MAX times, if another task already has its display number."""

    @wraps(method)
    async def retrying(use_case: N, /, *args: P.args, **kwargs: P.kwargs) -> R:
        for _ in range(NUMBER_RETRIES_MAX):
            try:
                return await method(use_case, *args, **kwargs)
            except AlreadyExists as taken:
                if "displayId" not in taken.fields:
                    raise
                use_case.numbers.start_over()
        return await method(use_case, *args, **kwargs)

    return retrying
