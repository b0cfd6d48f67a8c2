"""What a task refers to: whether it is there for whoever writes the task, and whose the task is by it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from application.access import is_allowed, with_memberships
from application.actor import Actor
from application.ports.unit_of_work import UnitOfWork
from application.rollback import missing_faults
from application.tasks.access import principal_for
from domain.errors import Fault, RuleBroken
from domain.permissions import may_add_task, may_see_task
from domain.task import Ownership, Task, TaskChanges, ownership_in

PARENT_DEPTH_MAX = 100


@dataclass(frozen=True, slots=True)
class Lineages:
    """What is above a task, itself first, once everything that moves in the same change set is where it goes."""

    _moved: dict[str, str | None] = field(default_factory=dict)
    _read: dict[str, Task | None] = field(default_factory=dict)
    """By id: a task that many go under is made an entity once."""

    def move(self, task_id: str, parent_id: str | None) -> None:
        """Takes note of the parent that a task gets."""
        self._moved[task_id] = parent_id

    async def of(self, work: UnitOfWork, task: Task) -> list[Task]:
        """The task and what is above it, at most PARENT_DEPTH_MAX tasks."""
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
    """What a change refers to that its task did not refer to before; None is no reference.

    What a task refers to already stays, also when it went to the trash meanwhile, and is whole again once restored.
    """

    project_id: str | None
    parent_id: str | None
    labels: Mapping[int, str]
    """Each new label by its place in the list that was sent."""


def new_references(changes: TaskChanges, before: Task | None) -> NewReferences:
    """What these changes newly refer to, of a task that was thus before, or of a new one."""
    known = frozenset(before.label_ids) if before is not None else frozenset[str]()
    wanted = enumerate(changes.get("label_ids", ()))
    project_id, parent_id = changes.get("project_id"), changes.get("parent_id")
    return NewReferences(
        project_id=None if before is not None and before.project_id == project_id else project_id,
        parent_id=None if before is not None and before.parent_id == parent_id else parent_id,
        labels={place: label_id for place, label_id in wanted if label_id not in known},
    )


async def ownership_after(
    work: UnitOfWork,
    actor: Actor,
    changes: TaskChanges,
    *,
    before: Task | None,
    lineages: Lineages | None = None,
) -> Ownership:
    """Whose a task is after these changes: in a project its owner and team, without one the owner it has, for a new
    task the actor.

    The commit relies on a new project (a live task in a trashed one would never come back or go with it) and, where a
    task moves there, on the teams that let the actor; on a new parent and, for a task that may have children, on all
    above it (two tasks that move under each other at once would be each other's ancestors). Raises RuleBroken naming
    every new label, project and parent that is not there for this actor.
    """
    new = new_references(changes, before)
    parents = [new.parent_id] if new.parent_id else []
    projects = [new.project_id] if new.project_id else []
    await work.load(projects=projects, tasks=parents, labels=new.labels.values())
    ownership: Ownership | None = None
    if new.project_id:
        ownership = await _project_ownership(work, actor, new.project_id, is_move=before is not None)
    faults: list[Fault] = []
    if new.project_id and ownership is None:
        faults += await missing_faults(
            work.projects, {"/projectId": new.project_id}, "is no project of yours"
        )
    faults += await _label_faults(work, new.labels)
    if new.parent_id is not None:
        faults += await _parent_faults(
            work, actor, new.parent_id, before=before, lineages=lineages or Lineages()
        )
    if faults:
        raise RuleBroken("The task refers to something that is not there.", faults=faults)
    if ownership is not None:
        return ownership
    if before is None:
        return Ownership(actor.id)
    stays = "project_id" not in changes or changes["project_id"] == before.project_id
    return before.ownership if stays else Ownership(before.owner_id)


async def _project_ownership(
    work: UnitOfWork, actor: Actor, project_id: str, *, is_move: bool
) -> Ownership | None:
    project = (await work.projects.get_many([project_id])).get(project_id)
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
    work.projects.rely_on(project)
    return ownership_in(project)


async def _label_faults(work: UnitOfWork, wanted: Mapping[int, str]) -> list[Fault]:
    labels = await work.labels.get_many(wanted.values()) if wanted else {}
    missing = {
        f"/labelIds/{place}": label_id
        for place, label_id in wanted.items()
        if label_id not in labels or labels[label_id].is_deleted
    }
    return await missing_faults(work.labels, missing, "is no label")


async def _parent_faults(
    work: UnitOfWork, actor: Actor, parent_id: str, *, before: Task | None, lineages: Lineages
) -> list[Fault]:
    parent = (await work.tasks.get_many([parent_id])).get(parent_id)
    if parent is None or parent.is_deleted:
        return await missing_faults(work.tasks, {"/parentId": parent_id}, "is no task")
    if not may_see_task(await principal_for(work, actor, parent), parent):
        return [Fault("/parentId", "is no task")]
    work.tasks.rely_on(parent)
    lineage = await lineages.of(work, parent)
    if before is not None and any(ancestor.id == before.id for ancestor in lineage):
        return [Fault("/parentId", "would make the task its own ancestor")]
    if len(lineage) >= PARENT_DEPTH_MAX:
        return [Fault("/parentId", f"is nested deeper than {PARENT_DEPTH_MAX} tasks")]
    if before is not None:
        for ancestor in lineage:
            work.tasks.rely_on(ancestor)
    return []


async def load_ancestors(work: UnitOfWork, parent_ids: Iterable[str]) -> None:
    """Reads these tasks and all above them, each level in one call, so that looking at lineages needs none."""
    level, seen = set(parent_ids), set[str]()
    for _ in range(PARENT_DEPTH_MAX):
        if not level:
            return
        seen |= level
        level = set(_parents(await work.tasks.get_many(sorted(level)))) - seen


def _parents(tasks: Mapping[str, Task]) -> Iterator[str]:
    return (task.parent_id for task in tasks.values() if task.parent_id is not None)
