"""References of a task: whether its writer may use them, and the ownership that follows from them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from application.access import is_allowed, with_memberships
from application.actor import Actor
from application.ports.unit_of_work import UnitOfWork
from application.rollback import missing_violations
from application.tasks.access import principal_for
from domain.errors import RuleBroken, Violation
from domain.permissions import may_add_task, may_see_task
from domain.task import Ownership, Task, TaskChanges, ownership_in

PARENT_DEPTH_MAX = 100


@dataclass(frozen=True, slots=True)
class Lineages:
    """The ancestors of tasks, with the moves of the same change set applied."""

    _moved: dict[str, str | None] = field(default_factory=dict)
    _read: dict[str, Task | None] = field(default_factory=dict)
    """By id, so that the parent of many tasks is decoded once."""

    def move(self, task_id: str, parent_id: str | None) -> None:
        """Notes the new parent of a task."""
        self._moved[task_id] = parent_id

    async def of(self, work: UnitOfWork, task: Task) -> list[Task]:
        """The task and its ancestors, at most PARENT_DEPTH_MAX tasks."""
        lineage: list[Task] = []
        ancestor: Task | None = task
        while ancestor is not None and len(lineage) < PARENT_DEPTH_MAX:
            lineage.append(ancestor)
            parent_id = self._moved.get(ancestor.id, ancestor.parent_id)
            if parent_id is not None and parent_id not in self._read:
                self._read.update({parent_id: None, **await work.tasks.get_many([parent_id])})
            ancestor = None if parent_id is None else self._read[parent_id]
        return lineage


@dataclass(frozen=True, slots=True)
class NewReferences:
    """The references that a change adds to a task; None means no reference.

    Present references are not checked: they stay when their target goes to the trash and is restored.
    """

    project_id: str | None
    parent_id: str | None
    labels: Mapping[int, str]
    """Each new label by its place in the request's list."""
    links: Mapping[int, str]
    """Each new linked task by its place in the request's list."""


def new_references(changes: TaskChanges, before: Task | None) -> NewReferences:
    """References (project, parent, labels, links) that the changes add compared to `before` (None for a new task)."""
    known = frozenset(before.label_ids) if before is not None else frozenset[str]()
    linked = frozenset(link.task_id for link in before.links) if before is not None else frozenset[str]()
    label_ids = enumerate(changes.get("label_ids", ()))
    project_id, parent_id = changes.get("project_id"), changes.get("parent_id")
    return NewReferences(
        project_id=None if before is not None and before.project_id == project_id else project_id,
        parent_id=None if before is not None and before.parent_id == parent_id else parent_id,
        links={
            place: link.task_id
            for place, link in enumerate(changes.get("links", ()))
            if link.task_id not in linked
        },
        labels={place: label_id for place, label_id in label_ids if label_id not in known},
    )


async def ownership_after(
    work: UnitOfWork,
    actor: Actor,
    changes: TaskChanges,
    *,
    before: Task | None,
    lineages: Lineages | None = None,
) -> Ownership:
    """The ownership of a task after these changes: that of its project; without a project, its present owner or, for a
    new task, the actor.

    The commit checks again: a new project (a task must not stay live in a deleted project) and, if the task moves
    there, the memberships that permit it; a new parent and, for an existing task, all ancestors (two tasks that are
    moved under each other at once must not become each other's ancestors). Raises RuleBroken with every new label,
    linked task, project and parent that does not exist or that the actor may not use.
    """
    new = new_references(changes, before)
    tasks = [*([new.parent_id] if new.parent_id else []), *new.links.values()]
    projects = [new.project_id] if new.project_id else []
    await work.load(projects=projects, tasks=tasks, labels=new.labels.values())
    ownership: Ownership | None = None
    if new.project_id:
        ownership = await _project_ownership(work, actor, new.project_id, is_move=before is not None)
    violations = [
        *(await _project_violations(work, new.project_id) if new.project_id and ownership is None else ()),
        *await _label_violations(work, new.labels),
        *await _link_violations(work, actor, new.links),
    ]
    if new.parent_id is not None:
        violations += await _parent_violations(
            work, actor, new.parent_id, before=before, lineages=lineages or Lineages()
        )
    if violations:
        raise RuleBroken("The task refers to something that does not exist.", violations=violations)
    if ownership is not None:
        return ownership
    if before is None:
        return Ownership(actor.id)
    stays = "project_id" not in changes or changes["project_id"] == before.project_id
    return before.ownership if stays else Ownership(before.owner_id)


async def _project_violations(work: UnitOfWork, project_id: str) -> list[Violation]:
    return await missing_violations(work.projects, {"/projectId": project_id}, "is not one of your projects")


async def _project_ownership(
    work: UnitOfWork, actor: Actor, project_id: str, *, is_move: bool
) -> Ownership | None:
    project = await work.projects.find(project_id)
    if project is None or project.is_deleted:
        return None
    teams = [project.team_id]
    if is_move:
        may_add = await is_allowed(
            work, actor, lambda principal: may_add_task(principal, project), teams=teams
        )
    else:
        may_add = may_add_task(await with_memberships(work, actor, teams), project)
    if not may_add:
        return None
    work.projects.require_unchanged(project)
    return ownership_in(project)


async def _label_violations(work: UnitOfWork, label_ids: Mapping[int, str]) -> list[Violation]:
    labels = await work.labels.get_many(label_ids.values()) if label_ids else {}
    missing = {
        f"/labelIds/{place}": label_id
        for place, label_id in label_ids.items()
        if label_id not in labels or labels[label_id].is_deleted
    }
    return await missing_violations(work.labels, missing, "is not a label")


async def _link_violations(work: UnitOfWork, actor: Actor, task_ids: Mapping[int, str]) -> list[Violation]:
    tasks = await work.tasks.get_many(task_ids.values()) if task_ids else {}
    missing: dict[str, str] = {}
    hidden: list[Violation] = []
    for place, task_id in task_ids.items():
        task, pointer = tasks.get(task_id), f"/links/{place}/taskId"
        if task is None or task.is_deleted:
            missing[pointer] = task_id
        elif not may_see_task(await principal_for(work, actor, task), task):
            hidden.append(Violation(pointer, "is not a task"))
    return [*await missing_violations(work.tasks, missing, "is not a task"), *hidden]


async def _parent_violations(
    work: UnitOfWork, actor: Actor, parent_id: str, *, before: Task | None, lineages: Lineages
) -> list[Violation]:
    parent = await work.tasks.find(parent_id)
    if parent is None or parent.is_deleted:
        return await missing_violations(work.tasks, {"/parentId": parent_id}, "is not a task")
    if not may_see_task(await principal_for(work, actor, parent), parent):
        return [Violation("/parentId", "is not a task")]
    work.tasks.require_unchanged(parent)
    lineage = await lineages.of(work, parent)
    if before is not None and any(ancestor.id == before.id for ancestor in lineage):
        return [Violation("/parentId", "would make the task its own ancestor")]
    if len(lineage) >= PARENT_DEPTH_MAX:
        return [Violation("/parentId", f"has too many ancestors; at most {PARENT_DEPTH_MAX} are allowed")]
    if before is not None:
        for ancestor in lineage:
            work.tasks.require_unchanged(ancestor)
    return []


async def load_ancestors(work: UnitOfWork, parent_ids: Iterable[str]) -> None:
    """Reads these tasks and all their ancestors, one call for each level."""
    level, known = set(parent_ids), set[str]()
    for _ in range(PARENT_DEPTH_MAX):
        if not level:
            return
        known |= level
        level = set(_parents(await work.tasks.get_many(sorted(level)))) - known


def _parents(tasks: Mapping[str, Task]) -> Iterator[str]:
    return (task.parent_id for task in tasks.values() if task.parent_id is not None)
