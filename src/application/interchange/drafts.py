"""Drafts: the tasks that an import would create from issues."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from application.ports.interchange import ImportedIssue, Loss
from domain.entity import Stamp, derived_id
from domain.errors import Invalid, RuleBroken, Violation
from domain.task import Origin, Ownership, Task, TaskChanges
from domain.timeline import first_cycle


@dataclass(frozen=True, slots=True)
class Draft:
    """An issue and version 1 of its task in the receiving project."""

    project_id: str
    issue: ImportedIssue
    task: Task

    def with_ownership(self, ownership: Ownership) -> "Draft":
        """The draft with the present ownership of its project."""
        if ownership == self.task.ownership:
            return self
        return replace(self, task=replace(self.task, owner_id=ownership.owner_id, team_id=ownership.team_id))


@dataclass(frozen=True, slots=True)
class Drafting:
    """Makes drafts for one project; `losses` collects the data that a task cannot hold."""

    format: str
    project_id: str
    label_ids: Mapping[str, str]
    stamp: Stamp
    ownership: Ownership
    losses: list[Loss] = field(default_factory=list)

    def task_id(self, key: str) -> str:
        """The id of the task of an issue, the same in every import."""
        return derived_id(self.format, self.project_id, key)

    def drafts(
        self, issues: Sequence[ImportedIssue], parents_elsewhere: frozenset[str], gone: frozenset[str]
    ) -> list[Draft]:
        """A draft for every issue, parents before children, except for permanently removed tasks (`gone`). Raises
        Invalid with every violation of every issue.
        """
        violations = list(_cycle_violations(issues))
        known = (parents_elsewhere | {issue.key for issue in issues}) - gone
        drafts: list[Draft] = []
        for issue in issues:
            if issue.key in gone:
                continue
            self.losses.extend(_losses(issue, known, gone))
            self.losses.extend(self._label_losses(issue))
            try:
                drafts.append(Draft(self.project_id, issue, self._task(issue, known)))
            except RuleBroken as error:
                violations += [_placed(issue, violation) for violation in error.violations]
        if violations:
            raise Invalid(
                "The file contains issues that cannot be stored; nothing was imported.", violations=violations
            )
        return _parents_first(drafts)

    def _label_losses(self, issue: ImportedIssue) -> Iterator[Loss]:
        if not all(name in self.label_ids for name in issue.label_names):
            yield Loss(issue.key, "labelIds", "the label was permanently removed here")

    def _task(self, issue: ImportedIssue, known: frozenset[str]) -> Task:
        parent_key = issue.parent_key if issue.parent_key in known else None
        changes = TaskChanges(
            title=issue.title,
            description=issue.description,
            status=issue.status,
            priority=issue.priority,
            project_id=self.project_id,
            parent_id=None if parent_key is None else self.task_id(parent_key),
            label_ids=tuple(self.label_ids[name] for name in issue.label_names if name in self.label_ids),
            started_at=issue.started_at,
        )
        origin = Origin(
            external_key=f"{self.format}:{self.project_id}:{issue.key}",
            created_at=issue.created_at,
            deleted_at=issue.deleted_at,
            deleted_reason=issue.deleted_reason,
        )
        return Task.imported(
            self.task_id(issue.key), self.stamp, changes, origin=origin, ownership=self.ownership
        )


def _placed(issue: ImportedIssue, violation: Violation) -> Violation:
    """A violation of the task, with its place in the file."""
    name = violation.pointer.removeprefix("/")
    return Violation(f"{issue.pointer}{violation.pointer}", f"{issue.place}, {name}: {violation.message}")


def _losses(issue: ImportedIssue, known: frozenset[str], gone: frozenset[str]) -> Iterator[Loss]:
    if issue.parent_key in gone:
        yield Loss(issue.key, "parentId", "the parent was permanently removed here")
    elif issue.parent_key is not None and issue.parent_key not in known:
        yield Loss(issue.key, "parentId", "the parent is neither in the file nor here")
    if issue.closed_at is not None:
        yield Loss(issue.key, "closedAt", "a task has no time of completion")
    if issue.updated_at is not None:
        yield Loss(issue.key, "updatedAt", "the version made by an import has the time of the import")


def _cycle_violations(issues: Sequence[ImportedIssue]) -> Iterator[Violation]:
    by_key = {issue.key: issue for issue in issues}
    parents = {issue.key: [issue.parent_key] for issue in issues if issue.parent_key is not None}
    if cycle := first_cycle(parents):
        issue = by_key[cycle[0]]
        names = " → ".join(cycle)
        yield Violation(f"{issue.pointer}/parentId", f"{issue.place}: issues contain each other: {names}")


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
