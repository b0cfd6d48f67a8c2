"""A task with details for one user: watched or not, deferred or not, and the expansions of the request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from application.actor import Actor
from application.ports.unit_of_work import UnitOfWork
from domain.assignment import AssigneeType
from domain.label import Label
from domain.task import Task
from domain.watch import Watch, watch_id


class Expansion(StrEnum):
    """Related records that a response can include in full."""

    LABELS = "labels"
    ASSIGNEE = "assignee"


Expansions = frozenset[Expansion]
NO_EXPANSIONS: Expansions = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedAssignee:
    """The assignee of a task. A name is None if its user or team no longer exists."""

    id: str
    type: AssigneeType
    name: str | None
    executor_id: str | None
    executor_name: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDetails:
    """A task with details for one user at one time.

    `is_cacheable_by_version`: nothing here has changed since the task's version was made, so the version identifies the
    content. `labels` (live ones) and `assignee` are filled if `expand` has them.
    """

    task: Task
    in_watchlist: bool
    is_deferred: bool
    is_cacheable_by_version: bool = True
    expand: Expansions = NO_EXPANSIONS
    labels: tuple[Label, ...] = ()
    assignee: NamedAssignee | None = None

    @property
    def id(self) -> str:
        """The task's id."""
        return self.task.id

    @property
    def version(self) -> int:
        """The task's version."""
        return self.task.version


async def details_of(
    work: UnitOfWork, actor: Actor, task: Task, *, now: datetime, expand: Expansions = NO_EXPANSIONS
) -> TaskDetails:
    """The task with details for the actor. After `visible_task` only expansions need a call to the store."""
    return (await details_of_all(work, actor, [task], now=now, expand=expand))[0]


async def details_of_all(
    work: UnitOfWork,
    actor: Actor,
    tasks: Sequence[Task],
    *,
    now: datetime,
    expand: Expansions = NO_EXPANSIONS,
) -> list[TaskDetails]:
    """The tasks with details for the actor: one call to the store for all of them."""
    related = await _load_related(work, actor, tasks, expand)
    return [_details(task, related, now=now, expand=expand) for task in tasks]


async def details_as_of(
    work: UnitOfWork, actor: Actor, task: Task, *, at: datetime | None = None
) -> TaskDetails:
    """An earlier version with its details at a time, by default when it was made. It is also the response to a repeated
    request.
    """
    watch = (await _load_related(work, actor, [task], NO_EXPANSIONS)).watches.get(task.id)
    at = at or task.updated_at
    had_begun = watch is not None and watch.created_at <= at
    had_ended = watch is not None and watch.deleted_at is not None and watch.deleted_at <= at
    return TaskDetails(task=task, in_watchlist=had_begun and not had_ended, is_deferred=task.is_deferred(at))


@dataclass(frozen=True, slots=True)
class _Related:
    """Records related to tasks: the user's watches by task id, labels by id, names by user or team id."""

    watches: Mapping[str, Watch]
    labels: Mapping[str, Label]
    names: Mapping[str, str]


async def _load_related(
    work: UnitOfWork, actor: Actor, tasks: Sequence[Task], expand: Expansions
) -> _Related:
    watch_ids = [watch_id(actor.id, task.id) for task in tasks]
    label_ids = _label_ids(tasks) if Expansion.LABELS in expand else []
    user_ids, team_ids = _assigned_ids(tasks) if Expansion.ASSIGNEE in expand else ([], [])
    await work.load(watches=watch_ids, labels=label_ids, users=user_ids, teams=team_ids)
    watches = await work.watches.get_many(watch_ids)
    labels = await work.labels.get_many(label_ids) if label_ids else {}
    users = await work.users.get_many(user_ids) if user_ids else {}
    teams = await work.teams.get_many(team_ids) if team_ids else {}
    return _Related(
        watches={watch.task_id: watch for watch in watches.values()},
        labels={label.id: label for label in labels.values() if not label.is_deleted},
        names={
            **{id_: user.name for id_, user in users.items()},
            **{id_: team.name for id_, team in teams.items()},
        },
    )


def _details(task: Task, related: _Related, *, now: datetime, expand: Expansions) -> TaskDetails:
    watch, is_deferred = related.watches.get(task.id), task.is_deferred(now)
    # Neither the end of a deferral nor a watch makes a version of the task.
    is_deferred_still = is_deferred == task.is_deferred(task.updated_at)
    is_watched_still = watch is None or watch.updated_at < task.updated_at
    return TaskDetails(
        task=task,
        in_watchlist=watch is not None and not watch.is_deleted,
        is_deferred=is_deferred,
        is_cacheable_by_version=is_deferred_still and is_watched_still and not expand,
        expand=expand,
        labels=tuple(related.labels[id_] for id_ in task.label_ids if id_ in related.labels),
        assignee=_named(task, related.names) if Expansion.ASSIGNEE in expand else None,
    )


def _named(task: Task, names: Mapping[str, str]) -> NamedAssignee | None:
    assignee, executor_id = task.assignee, task.executor_id
    if assignee is None:
        return None
    return NamedAssignee(
        id=assignee.id,
        type=assignee.type,
        name=names.get(assignee.id),
        executor_id=executor_id,
        executor_name=None if executor_id is None else names.get(executor_id),
    )


def _label_ids(tasks: Sequence[Task]) -> list[str]:
    return list(dict.fromkeys(label_id for task in tasks for label_id in task.label_ids))


def _assigned_ids(tasks: Sequence[Task]) -> tuple[list[str], list[str]]:
    """The ids of the users and teams that are assignees or executors of these tasks."""
    users: dict[str, None] = {}
    teams: dict[str, None] = {}
    for task in tasks:
        if (assignee := task.assignee) is not None:
            (teams if assignee.type is AssigneeType.TEAM else users)[assignee.id] = None
        if task.executor_id is not None:
            users[task.executor_id] = None
    return list(users), list(teams)
