"""Exports: the tasks that a user may see, as a file that an import can read.

A task that was imported from the same format keeps its key, so that an import of the file into the same project finds
it. The key of any other task is its id.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from application.access import visible_to
from application.actor import Actor
from application.paging import LIMIT_MAX, PageRequest, Sort
from application.ports.interchange import CONTENT_BYTES_MAX, ISSUES_MAX, ExportedIssue, IssueLink, IssueWriter
from application.ports.repositories import TaskFilter
from application.ports.thread_executor import ThreadExecutor
from application.projects.access import visible_project
from application.use_case import UseCase
from domain.errors import Invalid, RuleBroken, Violation
from domain.label import Label
from domain.task import Task
from domain.task_changes import LinkKind

TASKS_MAX = ISSUES_MAX
"""How many tasks one file contains at most: as many as an import reads."""


@dataclass(frozen=True, slots=True)
class ExportTasks(UseCase):
    """A file of all tasks that the actor may see, or of those of one project, including the trash.

    Raises Invalid for an unknown format, NotFound for a project that the actor may not see, RuleBroken for more tasks
    than an import reads.
    """

    writers: Mapping[str, IssueWriter]
    executor: ThreadExecutor

    async def __call__(self, actor: Actor, format_name: str, *, project_id: str | None = None) -> bytes:
        writer = self.writers.get(format_name)
        if writer is None:
            raise Invalid(
                f"“{format_name}” is not a known format; use one of {', '.join(sorted(self.writers))}."
            )
        work = self.begin(actor)
        if project_id is not None:
            await visible_project(work, actor, project_id)
        filters = TaskFilter(
            project_ids=None if project_id is None else (project_id,),
            visible_to=await visible_to(work, actor),
        )
        tasks = await self._tasks(actor, filters)
        labels = await work.labels.get_many({id_ for task in tasks for id_ in task.label_ids})
        content = await self.executor.run(lambda: writer.write(exported(tasks, labels, format_name)))
        if len(content) > CONTENT_BYTES_MAX:
            raise _too_much(f"{CONTENT_BYTES_MAX // 2**20} MiB")
        return content

    async def _tasks(self, actor: Actor, filters: TaskFilter) -> list[Task]:
        """Live tasks and then those in the trash, the oldest first."""
        tasks: list[Task] = []
        for deleted in (False, True):
            page: PageRequest | None = PageRequest(limit=LIMIT_MAX, sort=Sort("createdAt"))
            while page is not None:
                # Each page has its own unit of work, because a unit of work keeps everything that it reads.
                found = await self.begin(actor).tasks.matching(replace(filters, deleted=deleted), page)
                tasks += found.items
                if len(tasks) > TASKS_MAX:
                    raise _too_much(f"{TASKS_MAX} tasks")
                page = None if found.next is None else replace(page, after=found.next)
        return tasks


def _too_much(bound: str) -> RuleBroken:
    violation = Violation("/projectId", "name a project with fewer tasks")
    return RuleBroken(f"One file can contain at most {bound}.", violations=[violation])


def exported(tasks: Sequence[Task], labels: Mapping[str, Label], format_name: str) -> list[ExportedIssue]:
    """The tasks with unique keys. A task that moved between two pages occurs once."""
    by_id = {task.id: task for task in tasks}
    keys: dict[str, str] = {}
    taken: set[str] = set()
    for task in by_id.values():
        key = _former_key(task, format_name)
        keys[task.id] = task.id if key is None or key in taken else key
        taken.add(keys[task.id])
    links = _links(by_id.values(), keys)
    return [
        ExportedIssue(
            key=keys[task.id],
            task=task,
            parent_key=None if task.parent_id is None else keys.get(task.parent_id),
            label_names=tuple(sorted({labels[id_].name for id_ in task.label_ids if id_ in labels})),
            links=tuple(links.get(task.id, ())),
        )
        for task in by_id.values()
    ]


def _links(tasks: Iterable[Task], keys: Mapping[str, str]) -> dict[str, list[IssueLink]]:
    """The links between these tasks. A file names a blocking task at the one that it blocks."""
    links: dict[str, list[IssueLink]] = {}
    for task in tasks:
        for link in task.links:
            if link.task_id not in keys:
                continue
            if link.kind is LinkKind.BLOCKS:
                links.setdefault(link.task_id, []).append(
                    IssueLink(link.kind, keys[task.id], is_reversed=True)
                )
            else:
                links.setdefault(task.id, []).append(IssueLink(link.kind, keys[link.task_id]))
    return links


def _former_key(task: Task, format_name: str) -> str | None:
    """The key of the task in the file of this format that it was imported from; None if there was none."""
    origin, _, rest = (task.external_key or "").partition(":")
    return rest.partition(":")[2] or None if origin == format_name else None
