"""The merge of drafts with the tasks that exist, under the same rules as a request about each of these tasks.

The task of an issue may have moved to another project and team since an earlier import, so nothing follows from the
right to import into the project of the draft.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from application.access import is_allowed, with_memberships, without_teams
from application.actor import Actor
from application.interchange.drafts import NOT_HERE, PARENT_NOT_HERE, Draft
from application.interchange.report import Fate, Outcome
from application.interchange.revision import Revision, needs_no_merge, revision, unmerged
from application.paging import LIMIT_MAX, PageRequest, Sort
from application.ports.interchange import Loss
from application.ports.repositories import AuditFilter
from application.ports.unit_of_work import UnitOfWork
from application.tasks.access import teams_of
from application.tasks.changes import TaskChange, TaskWriter
from application.tasks.references import PARENT_DEPTH_MAX
from domain.audit import Action
from domain.permissions import Principal, may_change_task, may_delete_task, may_see_task
from domain.task import Task

REMOVED = "was permanently removed here"
UNCHANGEABLE = "cannot be changed"
"""The reason for a task that the importer cannot see; it must tell nothing of the task."""
UNDELETABLE = "only the task's creator or owner can move it to the trash"
UNUSABLE = "the other issue cannot be used here"
"""For a hidden task; one outside the file gets the same reason as if there were none."""
CIRCULAR = "would make the task its own ancestor here"


async def hidden_ids(work: UnitOfWork, actor: Actor, tasks: Iterable[Task]) -> frozenset[str]:
    """The ids of those of these tasks that the actor may not see."""
    alone = without_teams(actor)
    doubtful = [task for task in tasks if not may_see_task(alone, task)]
    teams = [team_id for task in doubtful for team_id in teams_of(task)]
    principal = await with_memberships(work, actor, teams) if doubtful else alone
    return frozenset(task.id for task in doubtful if not may_see_task(principal, task))


@dataclass(frozen=True, slots=True)
class Merge:
    """The merge of one batch of drafts. `present` are the existing tasks of the batch and those that it newly refers
    to; the actor may not see the `hidden` ones. `merged` are the tasks of the batch so far.
    """

    writer: TaskWriter
    present: Mapping[str, Task]
    gone: frozenset[str]
    hidden: frozenset[str]
    merged: dict[str, Task] = field(default_factory=dict)

    async def take(self, draft: Draft) -> tuple[TaskChange | None, Outcome]:
        """The change of one task, None if its issue is skipped, and the outcome. The commit checks again what permits
        the change.
        """
        key, current = draft.issue.key, self.present.get(draft.task.id)
        if draft.task.id in self.gone:
            return None, Outcome(key, Fate.SKIPPED, REMOVED)
        if draft.task.id in self.hidden:
            return None, Outcome(key, Fate.SKIPPED, UNCHANGEABLE)
        draft, lost = await self._with_usable_references(draft, current)
        revised = await self._revised(draft, current)
        outcome = replace(revised.outcome, lost=tuple(lost))
        if current is None:
            change = TaskChange(None, revised.task)
        elif revised.task is current or await self._is_permitted(current, revised.task):
            change = await self.writer.reopened(current, revised.task)
        else:
            return None, Outcome(key, Fate.SKIPPED, UNDELETABLE if revised.task.is_deleted else UNCHANGEABLE)
        self.merged[change.after.id] = change.after
        return change, outcome

    async def _is_permitted(self, before: Task, after: Task) -> bool:
        """Whether the actor may change or delete the task, now and at the commit."""

        def decision(principal: Principal) -> bool:
            may = may_delete_task if after.is_deleted else may_change_task
            return may(principal, before)

        return await is_allowed(self.writer.work, self.writer.actor, decision, teams=teams_of(before))

    async def _with_usable_references(
        self, draft: Draft, current: Task | None
    ) -> tuple[Draft, Sequence[Loss]]:
        """The draft without new references that a request could not make either, and the losses."""
        lost: list[Loss] = []
        task = draft.task
        if why := await self._obstacle(draft, current):
            lost.append(Loss(draft.issue.key, "parentId", why))
            task = replace(task, parent_id=None if current is None else current.parent_id)
        hidden = self.hidden & new_references(draft, current)
        unusable = [link for link in task.links if link.task_id in hidden]
        for link in unusable:
            why = UNUSABLE if link.task_id in draft.in_file else NOT_HERE
            lost.append(Loss(draft.issue.key, f"links.{link.kind.value}", why))
        if unusable:
            task = replace(task, links=tuple(link for link in task.links if link not in unusable))
        return (draft if task is draft.task else replace(draft, task=task)), lost

    async def _obstacle(self, draft: Draft, current: Task | None) -> str | None:
        """Why the task cannot get the parent of the draft; None if it can, or has it already."""
        parent_id = draft.task.parent_id
        if parent_id is None or (current is not None and current.parent_id == parent_id):
            return None
        if parent_id in self.hidden:
            return UNUSABLE if parent_id in draft.in_file else PARENT_NOT_HERE
        if parent_id in self.present and parent_id not in self.merged:
            self.writer.work.tasks.require_unchanged(self.present[parent_id])
        if current is not None and await self._is_below(parent_id, current.id):
            return CIRCULAR
        return None

    async def _is_below(self, task_id: str | None, ancestor_id: str) -> bool:
        """Whether the task is the ancestor or below it, or has too many ancestors to tell, now and at the commit."""
        tasks = self.writer.work.tasks
        for _ in range(PARENT_DEPTH_MAX):
            if task_id is None or task_id == ancestor_id:
                return task_id is not None
            task = self.merged.get(task_id)
            if task is None:
                task = (await tasks.get_many([task_id])).get(task_id)
                if task is None:
                    return False
                tasks.require_unchanged(task)
            task_id = task.parent_id
        return True

    async def _revised(self, draft: Draft, current: Task | None) -> Revision:
        key = draft.issue.key
        if current is None:
            fate = Fate.CREATED_IN_TRASH if draft.task.is_deleted else Fate.CREATED
            return Revision(draft.task, Outcome(key, fate))
        draft = draft.with_other_links(current)
        if needs_no_merge(current, draft.task):
            return unmerged(key, current, draft.task)
        filters = AuditFilter(collection="tasks", entity_id=current.id, action=Action.IMPORTED)
        newest_first = PageRequest(limit=LIMIT_MAX, sort=Sort("at", descending=True))
        imports = (await self.writer.work.audit.matching(filters, newest_first)).items
        return revision(key, current, draft.task, imports=imports, stamp=self.writer.stamp)


async def merge_of(writer: TaskWriter, drafts: Sequence[Draft]) -> Merge:
    """The merge of these drafts, after the tasks that they concern have been read."""
    work, ids = writer.work, [draft.task.id for draft in drafts]
    own, gone = await work.tasks.get_many(ids), await work.tasks.purged(ids)
    references = {id_ for draft in drafts for id_ in new_references(draft, own.get(draft.task.id))}
    others = await work.tasks.get_many(sorted(references - own.keys())) if references else {}
    present = {**own, **others}
    return Merge(writer, present, gone, await hidden_ids(work, writer.actor, present.values()))


def new_references(draft: Draft, current: Task | None) -> set[str]:
    """The ids of the parent and the linked tasks that the draft adds to the task."""
    named = {link.task_id for link in draft.task.links} | {draft.task.parent_id}
    if current is not None:
        named -= {link.task_id for link in current.links} | {current.parent_id}
    return {id_ for id_ in named if id_ is not None}
