"""The operations of a bulk request: their data, what they read first, and their errors."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from application.actor import Actor
from application.ports.identifiers import Identifiers
from application.ports.unit_of_work import UnitOfWork
from application.tasks.references import load_ancestors
from domain.assignment import AssigneeType
from domain.errors import VIOLATIONS_MAX, RuleBroken, TandemError, Violation
from domain.project import Project
from domain.task import Task, TaskChanges
from domain.team import membership_id
from domain.watch import watch_id

OPERATIONS_MAX = 1_000
IDS_PER_ROUND_MAX = 1_000


@dataclass(frozen=True, slots=True)
class CreateOperation:
    """A new task. It gets its id when it is carried out."""

    changes: TaskChanges
    id: str = ""


@dataclass(frozen=True, slots=True)
class UpdateOperation:
    """Changes of a task. `expected_version` None accepts any version."""

    id: str
    changes: TaskChanges
    expected_version: int | None = None


@dataclass(frozen=True, slots=True)
class DeleteOperation:
    """The deletion of a task. `expected_version` None accepts any version."""

    id: str
    expected_version: int | None = None


TaskOperation = CreateOperation | UpdateOperation | DeleteOperation


def identified(operations: Sequence[TaskOperation], identifiers: Identifiers) -> list[TaskOperation]:
    """The operations, with an id for each new task."""
    return [
        replace(each, id=identifiers.fresh()) if isinstance(each, CreateOperation) else each
        for each in operations
    ]


def doubled_places(operations: Sequence[TaskOperation]) -> frozenset[int]:
    """The places of the operations on a task that an earlier operation changes."""
    first: dict[str, int] = {}
    places = enumerate(operations)
    return frozenset(place for place, operation in places if first.setdefault(operation.id, place) != place)


def doubled() -> RuleBroken:
    """The error of a second operation on the same task."""
    return RuleBroken(
        "A request can change each task only once.",
        violations=[Violation("/id", "is changed by an earlier operation")],
    )


def placed(error: TandemError, place: int) -> TandemError:
    """The error of one operation, with violations that point into the list of operations."""
    at = f"/operations/{place}"
    violations = [Violation(at + violation.pointer, violation.message) for violation in error.violations]
    error.violations = tuple(violations or [Violation(at, error.message)])
    return error


def shorten(errors: Iterable[TandemError]) -> None:
    """Shortens the errors to VIOLATIONS_MAX violations together; each keeps at least its first."""
    left = VIOLATIONS_MAX
    for error in errors:
        error.violations = error.violations[: max(left, 1)]
        left -= len(error.violations)


def merged_error(errors: Sequence[TandemError]) -> TandemError:
    """One error for all: the first, with the violations of all errors of its type."""
    first = errors[0]
    alike = [violation for error in errors if type(error) is type(first) for violation in error.violations]
    first.violations = tuple(alike[:VIOLATIONS_MAX])
    return first


async def load_for(work: UnitOfWork, actor: Actor, operations: Sequence[TaskOperation]) -> None:
    """Reads everything that the operations change and refer to, so that the number of calls to the store does not grow
    with the number of operations.
    """
    changed = [each.id for each in operations if not isinstance(each, CreateOperation)]
    writes = [each.changes for each in operations if not isinstance(each, DeleteOperation)]
    parents = _set(changes.get("parent_id") for changes in writes)
    projects = _set(changes.get("project_id") for changes in writes)
    labels = _set(label_id for changes in writes for label_id in changes.get("label_ids", ()))
    linked = _set(link.task_id for changes in writes for link in changes.get("links", ()))
    tasks = _set([*changed, *parents, *linked])
    await _load_in_rounds(work, actor, tasks=tasks, projects=projects, labels=labels)
    await load_ancestors(work, parents)
    found = await work.tasks.get_many(tasks)
    owning = await work.projects.get_many(projects)
    await _load_memberships(work, actor, [*found.values(), *owning.values()])


async def load_tasks(work: UnitOfWork, actor: Actor, ids: Sequence[str]) -> None:
    """Reads these tasks and everything on which their visibility depends."""
    await _load_in_rounds(work, actor, tasks=_set(ids), projects=[], labels=[])
    await _load_memberships(work, actor, list((await work.tasks.get_many(ids)).values()))


async def _load_memberships(work: UnitOfWork, actor: Actor, things: Sequence[Task | Project]) -> None:
    teams = _set(_team_ids(things))
    await work.memberships.get_many([membership_id(team_id, actor.id) for team_id in teams])


async def _load_in_rounds(
    work: UnitOfWork, actor: Actor, *, tasks: list[str], projects: list[str], labels: list[str]
) -> None:
    """One call for every IDS_PER_ROUND_MAX ids of the longest list."""
    longest = max(len(tasks), len(projects), len(labels))
    for start in range(0, longest, IDS_PER_ROUND_MAX):
        part = slice(start, start + IDS_PER_ROUND_MAX)
        await work.load(
            tasks=tasks[part],
            watches=[watch_id(actor.id, task_id) for task_id in tasks[part]],
            projects=projects[part],
            labels=labels[part],
        )


def _set(ids: Iterable[str | None]) -> list[str]:
    return [id_ for id_ in dict.fromkeys(ids) if id_ is not None]


def _team_ids(things: Iterable[Task | Project]) -> Iterable[str | None]:
    for thing in things:
        yield thing.team_id
        if isinstance(thing, Task) and thing.assignee_type is AssigneeType.TEAM:
            yield thing.assignee_id
