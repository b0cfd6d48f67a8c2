"""Drafts: the tasks that an import would create from issues."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from application.ports.interchange import ImportedIssue, Loss, UnfitIssue
from domain.entity import Stamp, derived_id
from domain.errors import RuleBroken, Violation
from domain.label import Label
from domain.task import Origin, Ownership, Task, TaskChanges, TaskStatus
from domain.task_changes import LINKS_MAX, LinkKind, TaskLink, end_of_day

NOT_HERE = "the other issue is neither in the file nor here"
PARENT_NOT_HERE = "the parent is neither in the file nor here"


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The keys that issues of a file name and it does not contain, and of whose tasks something is known: they are
    `present`, `hidden` from the importer, or `gone` (permanently removed; also keys of the file).
    """

    present: frozenset[str] = frozenset()
    hidden: frozenset[str] = frozenset()
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Draft:
    """An issue and version 1 of its task in the receiving project. `in_file` are the ids of all tasks of the file."""

    project_id: str
    issue: ImportedIssue
    task: Task
    in_file: frozenset[str] = frozenset()

    def with_other_links(self, current: Task) -> "Draft":
        """The draft with the present links to tasks that the file does not contain: a file names a link at the blocked
        issue.
        """
        others = {
            link
            for link in current.links
            if link.kind is LinkKind.BLOCKS and link.task_id not in self.in_file
        }
        links = sorted(others.union(self.task.links), key=lambda link: (link.kind, link.task_id))
        return replace(self, task=replace(self.task, links=tuple(links))) if others else self

    def with_ownership(self, ownership: Ownership) -> "Draft":
        """The draft with the present ownership of its project."""
        if ownership == self.task.ownership:
            return self
        return replace(self, task=replace(self.task, owner_id=ownership.owner_id, team_id=ownership.team_id))

    def without_labels(self, label_ids: frozenset[str]) -> "Draft":
        """The draft without these labels."""
        if label_ids.isdisjoint(self.task.label_ids):
            return self
        kept = tuple(id_ for id_ in self.task.label_ids if id_ not in label_ids)
        return replace(self, task=replace(self.task, label_ids=kept))


@dataclass(frozen=True, slots=True)
class Drafting:
    """Makes drafts for one project. `losses` collects the data that a task cannot hold, `unfit` the issues that cannot
    become tasks.
    """

    format: str
    project_id: str
    labels: "ImportLabels"
    stamp: Stamp
    ownership: Ownership
    losses: list[Loss] = field(default_factory=list)
    unfit: list[UnfitIssue] = field(default_factory=list)

    def task_id(self, key: str) -> str:
        """The id of the task of an issue, the same in every import."""
        return derived_id(self.format, self.project_id, key)

    def drafts(self, issues: Sequence[ImportedIssue], elsewhere: Elsewhere) -> list[Draft]:
        """A draft for every issue that fits, parents before children, except for permanently removed tasks."""
        gone = elsewhere.gone
        made: dict[str, tuple[ImportedIssue, Task]] = {}
        for issue in issues:
            if issue.key in gone:
                continue
            try:
                made[issue.key] = (issue, self._task(issue))
            except RuleBroken as error:
                placed = [_placed(issue, violation) for violation in error.violations]
                self.unfit.append(UnfitIssue(issue.key, placed))
        known = (elsewhere.present | elsewhere.hidden | made.keys()) - gone
        links = self._links([issue for issue, _ in made.values()], known, elsewhere.hidden)
        parents = self._parents([issue for issue, _ in made.values()], known, gone)
        in_file = frozenset(task.id for _, task in made.values())
        drafts = [
            Draft(
                self.project_id,
                replace(issue, parent_key=parents.get(key)),
                replace(
                    task,
                    parent_id=None if key not in parents else self.task_id(parents[key]),
                    links=tuple(sorted(links.get(key, ()), key=lambda link: (link.kind, link.task_id))),
                ),
                in_file,
            )
            for key, (issue, task) in made.items()
        ]
        for issue, _ in made.values():
            self.losses.extend(_time_losses(issue))
            self.losses.extend(self.labels.losses(issue))
        return _parents_first(drafts)

    def _parents(
        self, issues: Sequence[ImportedIssue], known: frozenset[str], gone: frozenset[str]
    ) -> dict[str, str]:
        """The parent of each issue that has one; a parent that cannot be kept is a loss."""
        parents: dict[str, str] = {}
        for issue in issues:
            if issue.parent_key is None:
                continue
            if issue.parent_key in known:
                parents[issue.key] = issue.parent_key
            elif issue.parent_key in gone:
                self.losses.append(Loss(issue.key, "parentId", "the parent was permanently removed here"))
            else:
                self.losses.append(Loss(issue.key, "parentId", PARENT_NOT_HERE))
        for key in _closing_cycles(parents):
            del parents[key]
            self.losses.append(
                Loss(key, "parentId", "issues contain each other; this one is left at the top")
            )
        return parents

    def _links(
        self, issues: Sequence[ImportedIssue], known: frozenset[str], hidden: frozenset[str]
    ) -> dict[str, set[TaskLink]]:
        """The links of each issue's task. A blocked issue names the one that blocks it; here it is reversed."""
        present = {issue.key for issue in issues}
        links: dict[str, set[TaskLink]] = {}
        for issue in issues:
            for link in issue.links:
                start, end = (link.key, issue.key) if link.is_reversed else (issue.key, link.key)
                if start == end:
                    why = "a task cannot be linked to itself"
                elif link.key not in known or start in hidden:
                    why = NOT_HERE
                elif start not in present:
                    why = (
                        "the other issue, which has the link here, is not in this file; import both together"
                    )
                elif len(links.setdefault(start, set())) >= LINKS_MAX:
                    why = f"a task has at most {LINKS_MAX} links"
                else:
                    links[start].add(TaskLink(link.kind, self.task_id(end)))
                    continue
                self.losses.append(Loss(issue.key, f"links.{link.kind.value}", why))
        return links

    def _task(self, issue: ImportedIssue) -> Task:
        """The task, without parent and links."""
        changes = TaskChanges(
            title=issue.title,
            description=issue.description,
            status=issue.status,
            priority=issue.priority,
            project_id=self.project_id,
            label_ids=self.labels.of(issue),
            started_at=issue.started_at,
            due_at=issue.due_at,
            due_on=issue.due_on,
            completed_at=issue.closed_at,
        )
        origin = Origin(
            external_key=f"{self.format}:{self.project_id}:{issue.key}",
            created_at=issue.created_at,
            is_deleted=issue.deleted_at is not None,
            deleted_reason=issue.deleted_reason,
        )
        task = Task.imported(
            self.task_id(issue.key), self.stamp, changes, origin=origin, ownership=self.ownership
        )
        if task.status is TaskStatus.DONE or is_beyond_due(issue.deferred_till, task):
            return task
        return replace(task, deferred_till=issue.deferred_till)


def is_beyond_due(deferred_till: datetime | None, task: Task) -> bool:
    """Whether the task would be deferred past its due date."""
    return deferred_till is not None and task.due_by is not None and deferred_till > task.due_by


@dataclass(frozen=True, slots=True)
class ImportLabels:
    """The labels of a file by name: the ids, the labels that do not exist yet, and why others cannot exist."""

    ids: Mapping[str, str]
    new: Mapping[str, Label] = field(default_factory=dict)
    unfit: Mapping[str, str] = field(default_factory=dict)

    def of(self, issue: ImportedIssue) -> tuple[str, ...]:
        """The ids of the issue's labels."""
        return tuple(self.ids[name] for name in issue.label_names if name in self.ids)

    def losses(self, issue: ImportedIssue) -> Iterator[Loss]:
        """The labels that the task cannot have."""
        for name in issue.label_names:
            if name in self.unfit:
                yield Loss(issue.key, "labelIds", f"label “{name[:40]}”: {self.unfit[name]}")
            elif name not in self.ids:
                yield Loss(issue.key, "labelIds", "the label was permanently removed here")


def _placed(issue: ImportedIssue, violation: Violation) -> Violation:
    """A violation of the task, with its place in the file."""
    name = violation.pointer.removeprefix("/")
    return Violation(f"{issue.pointer}{violation.pointer}", f"{issue.place}, {name}: {violation.message}")


def _time_losses(issue: ImportedIssue) -> Iterator[Loss]:
    if issue.updated_at is not None:
        yield Loss(issue.key, "updatedAt", "the version made by an import has the time of the import")
    if issue.deleted_at is not None:
        yield Loss(issue.key, "deletedAt", "the time in the trash here begins with the import")
    if issue.deferred_till is None:
        return
    if issue.status is TaskStatus.DONE:
        yield Loss(issue.key, "deferredTill", "a task that is done is not deferred")
        return
    ends = [issue.due_at] if issue.due_at else [end_of_day(issue.due_on)] if issue.due_on else []
    if any(issue.deferred_till > end for end in ends):
        yield Loss(issue.key, "deferredTill", "is later than the due date")


def _closing_cycles(parents: Mapping[str, str]) -> list[str]:
    """One issue of every cycle of parents."""
    closing: list[str] = []
    seen: set[str] = set()
    for start in parents:
        path: set[str] = set()
        key: str | None = start
        while key is not None and key not in seen:
            seen.add(key)
            path.add(key)
            key = parents.get(key)
            if key in path:
                closing.append(str(key))
    return closing


def _parents_first(drafts: Sequence[Draft]) -> list[Draft]:
    by_key = {draft.issue.key: draft for draft in drafts}
    ordered: dict[str, Draft] = {}
    for draft in drafts:
        lineage: list[Draft] = []
        ancestor: Draft | None = draft
        while ancestor is not None and ancestor.issue.key not in ordered:
            lineage.append(ancestor)
            ancestor = by_key.get(ancestor.issue.parent_key or "")
        ordered.update((each.issue.key, each) for each in reversed(lineage))
    return list(ordered.values())
