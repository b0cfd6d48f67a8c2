"""Exports: the tasks that somebody may see, as a file that an import reads again.

A task that came from the same format keeps the key it had there, so that an import of the file into the same project
finds it; every other goes by its id.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from application.access import audience_of
from application.actor import Actor
from application.paging import LIMIT_MAX, PageRequest, Sort
from application.ports.interchange import CONTENT_BYTES_MAX, ISSUES_MAX, ExportedIssue, IssueWriter
from application.ports.repositories import TaskFilter
from application.ports.thread_executor import ThreadExecutor
from application.ports.unit_of_work import Begin
from application.projects.access import visible_project
from domain.errors import Fault, Invalid, RuleBroken
from domain.label import Label
from domain.permissions import sees_everything
from domain.task import Task

TASKS_MAX = ISSUES_MAX
"""How many tasks one file holds at most: no more than an import reads."""


@dataclass(frozen=True, slots=True)
class ExportTasks:
    """A file of all tasks that the actor may see, or of those of one project, the trash included.

    Raises Invalid for a format that nobody knows, NotFound for a project he must not know of, RuleBroken where it is
    more than an import would read.
    """

    begin: Begin
    writers: Mapping[str, IssueWriter]
    executor: ThreadExecutor

    async def __call__(self, actor: Actor, format_name: str, *, project_id: str | None = None) -> bytes:
        writer = self.writers.get(format_name)
        if writer is None:
            raise Invalid(f"“{format_name}” is no known format; known are {', '.join(sorted(self.writers))}.")
        work = self.begin(actor)
        if project_id is not None:
            await visible_project(work, actor, project_id)
        filters = TaskFilter(project_id=project_id)
        if not sees_everything(actor.grants):
            filters = replace(filters, visible_to=await audience_of(work, actor))
        tasks = await self._tasks(actor, filters)
        labels = await work.labels.get_many({id_ for task in tasks for id_ in task.label_ids})
        content = await self.executor.run(lambda: writer.write(exported(tasks, labels, format_name)))
        if len(content) > CONTENT_BYTES_MAX:
            raise _too_much(f"{CONTENT_BYTES_MAX // 2**20} MiB")
        return content

    async def _tasks(self, actor: Actor, filters: TaskFilter) -> list[Task]:
        """Live tasks and then those in the trash, each the oldest first."""
        tasks: list[Task] = []
        for deleted in (False, True):
            page: PageRequest | None = PageRequest(limit=LIMIT_MAX, sort=Sort("createdAt"))
            while page is not None:
                # Each page in a unit of work of its own: one remembers all that it reads.
                found = await self.begin(actor).tasks.matching(replace(filters, deleted=deleted), page)
                tasks += found.items
                if len(tasks) > TASKS_MAX:
                    raise _too_much(f"{TASKS_MAX} tasks")
                page = None if found.next is None else replace(page, after=found.next)
        return tasks


def _too_much(bound: str) -> RuleBroken:
    fault = Fault("/projectId", "name a project with fewer tasks")
    return RuleBroken(f"One file holds at most {bound}.", faults=[fault])


def exported(tasks: Sequence[Task], labels: Mapping[str, Label], format_name: str) -> list[ExportedIssue]:
    """The tasks under keys that are unique among them. Something that moved between two pages comes once."""
    by_id = {task.id: task for task in tasks}
    keys: dict[str, str] = {}
    taken: set[str] = set()
    for task in by_id.values():
        key = _former_key(task, format_name)
        keys[task.id] = task.id if key is None or key in taken else key
        taken.add(keys[task.id])
    return [
        ExportedIssue(
            key=keys[task.id],
            task=task,
            parent_key=None if task.parent_id is None else keys.get(task.parent_id),
            label_names=tuple(sorted({labels[id_].name for id_ in task.label_ids if id_ in labels})),
        )
        for task in by_id.values()
    ]


def _former_key(task: Task, format_name: str) -> str | None:
    """The key under which an import of this format brought the task; None where none did."""
    origin, _, rest = (task.external_key or "").partition(":")
    return rest.partition(":")[2] or None if origin == format_name else None
