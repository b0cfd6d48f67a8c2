"""Repositories of projects, timelines, tasks and labels: their questions as criteria."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar

from adapters.records.criteria import (
    AllOf,
    AnyOf,
    Criterion,
    Equals,
    HasWords,
    Holds,
    IsNull,
    NotNull,
    OneOf,
    Order,
    Question,
    Range,
    Scalar,
)
from adapters.records.record import ID, IS_ERASED, VERSION
from adapters.records.specs import AUDIT_LOGS, LABELS, PROJECTS, TASKS, TIMELINES
from adapters.repositories.audit_entries import LARGE_ENTRIES_AT_ONCE
from adapters.repositories.generic import LIVE, StoredRepository, trashed_under
from application.paging import Page, PageRequest
from application.ports.repositories import Audience, Moment, ProjectFilter, TaskFilter
from domain.entity import Stamp
from domain.label import Label
from domain.name import name_key
from domain.project import Project
from domain.task import Task, TaskStatus
from domain.timeline import Timeline
from domain.user import start_of_day


def _pinned(**values: str | int | None) -> list[Criterion]:
    """An equality for each value that is set."""
    return [Equals(name, value) for name, value in values.items() if value is not None]


def _owned_by(audience: Audience) -> tuple[Criterion, ...]:
    """Records owned by the user or by one of their teams."""
    own = Equals("ownerId", audience.user_id)
    return (own, OneOf("teamId", audience.team_ids)) if audience.team_ids else (own,)


def _seen_by(audience: Audience) -> Criterion:
    """The tasks that `domain.permissions.may_see_task` shows this audience."""
    return AnyOf((*_owned_by(audience), OneOf("assigneeId", (audience.user_id, *audience.team_ids))))


class StoredProjects(StoredRepository[Project]):
    """The port Projects."""

    spec = PROJECTS

    async def matching(self, filters: ProjectFilter, page: PageRequest) -> Page[Project]:
        where = _pinned(ownerId=filters.owner_id, teamId=filters.team_id, status=filters.status)
        if (audience := filters.visible_to) is not None:
            where.append(AnyOf(_owned_by(audience)))
        if filters.text:
            where.append(HasWords(filters.text))
        return await self._page(where, page, deleted=filters.deleted)

    async def of_team(self, team_id: str, *, limit: int) -> Sequence[Project]:
        return await self._some(Equals("teamId", team_id), limit=limit)


class StoredTimelines(StoredRepository[Timeline]):
    """The port Timelines. Each audit entry holds a whole plan twice, before and after the change."""

    spec = TIMELINES

    undo_page = LARGE_ENTRIES_AT_ONCE

    async def of_project(self, project_id: str) -> Timeline | None:
        return await self.find(project_id)

    async def version_at(self, project_id: str, at: datetime) -> int | None:
        of_project = (Equals("collection", self.spec.collection), Equals("entityId", project_id))
        question = Question(
            collection=AUDIT_LOGS.collection,
            where=AllOf((*of_project, Range(field="at", at_most=at))),
            order=Order(VERSION, descending=True),
            limit=1,
        )
        entries = await self._store.find(question)
        return int(entries[0][VERSION]) if entries else None


class StoredTasks(StoredRepository[Task]):
    """The port Tasks."""

    spec = TASKS
    sorted_by: ClassVar[Mapping[str, str]] = {"dueAt": "dueBy"}

    async def matching(self, filters: TaskFilter, page: PageRequest) -> Page[Task]:
        return await self._page(list(_task_criteria(filters)), page, deleted=filters.deleted)

    async def count(self, filters: TaskFilter) -> int:
        return await self._count(list(_task_criteria(filters)), deleted=filters.deleted)

    async def of_project(self, project_id: str) -> Sequence[Task]:
        return await self._all(Equals("projectId", project_id), IsNull(IS_ERASED))

    async def some_of_project(self, project_id: str, *, limit: int) -> Sequence[Task]:
        return await self._some(Equals("projectId", project_id), limit=limit)

    async def of_project_since(self, project_id: str, instant: datetime, *, limit: int) -> Sequence[Task]:
        lasting = AnyOf((LIVE, Range(field="deletedAt", at_least=instant)))
        return await self._some(Equals("projectId", project_id), IsNull(IS_ERASED), lasting, limit=limit)

    async def live_in_project(self, project_id: str) -> Sequence[Task]:
        return await self._all(Equals("projectId", project_id), LIVE)

    async def children_of(self, task_ids: Sequence[str]) -> Sequence[Task]:
        return await self._all(OneOf("parentId", tuple(task_ids)))

    async def carrying(self, label_id: str, *, limit: int) -> Sequence[Task]:
        return await self._some(Holds("labelIds", label_id), limit=limit)

    async def of_team(self, team_id: str, *, limit: int) -> Sequence[Task]:
        return await self._some(
            AnyOf((Equals("teamId", team_id), Equals("assigneeId", team_id))), limit=limit
        )

    async def given_in_team(self, user_id: str, team_id: str) -> Sequence[Task]:
        return await self._all(Equals("assigneeId", user_id), Equals("teamId", team_id), IsNull(IS_ERASED))

    async def trashed_by(self, project_id: str, stamp: Stamp) -> Sequence[Task]:
        return await self._all(Equals("projectId", project_id), *trashed_under(stamp))


_OPEN = tuple(status for status in TaskStatus if status is not TaskStatus.DONE)


def _task_criteria(filters: TaskFilter) -> Iterator[Criterion]:
    for name, values in (
        ("createdBy", filters.created_by),
        ("projectId", filters.project_ids),
        ("parentId", filters.parent_ids),
        ("assigneeId", filters.assignee_ids),
        ("displayId", filters.display_ids),
        ("priority", filters.priorities),
    ):
        if values is not None:
            yield _among(name, values)
    yield from _pinned(executorId=filters.executor_id)
    if filters.ids is not None:
        yield OneOf(ID, filters.ids)
    if filters.visible_to is not None:
        yield _seen_by(filters.visible_to)
    if filters.team_ids is not None:
        yield AnyOf(tuple(_among(name, filters.team_ids) for name in ("teamId", "assigneeId")))
    if filters.is_assigned:
        yield NotNull("assigneeId")
    if filters.label_ids is not None:
        yield _any_of(Holds("labelIds", label_id) for label_id in filters.label_ids)
    yield from _progress(filters)
    yield from _times(filters)
    if filters.text:
        yield HasWords(filters.text)


def _among(name: str, values: Sequence[Scalar | None]) -> Criterion:
    """The field has one of these values; None among them accepts records without a value."""
    given = tuple(value for value in values if value is not None)
    # An equality pins an index.
    held = [Equals(name, given[0])] if len(given) == 1 else [OneOf(name, given)] if given else []
    return _any_of([*held, IsNull(name)] if len(given) < len(values) else held)


def _any_of(criteria: Iterable[Criterion]) -> Criterion:
    alternatives = tuple(criteria)
    return alternatives[0] if len(alternatives) == 1 else AnyOf(alternatives)


def _progress(filters: TaskFilter) -> Iterator[Criterion]:
    """The conditions on status and deferral."""
    has_status = None if filters.statuses is None else _among("status", filters.statuses)
    if filters.deferred and has_status is not None:
        both = (has_status, _deferred(filters.now, is_deferred=False))
        yield AnyOf((_deferred(filters.now, is_deferred=True), AllOf(both)))
        return
    if has_status is not None:
        yield has_status
    if filters.deferred is not None:
        yield _deferred(filters.now, is_deferred=filters.deferred)


def _deferred(now: datetime | None, *, is_deferred: bool) -> Criterion:
    if is_deferred:
        return Range(field="deferredTill", above=now)
    return AnyOf((IsNull("deferredTill"), Range(field="deferredTill", at_most=now)))


def _times(filters: TaskFilter) -> Iterator[Criterion]:
    """The conditions on due dates and on the time of the last change."""
    bounds = {"at_least": filters.due_after, "below": filters.due_before}
    instants = {side: bound for side, bound in bounds.items() if isinstance(bound, datetime)}
    days = {side: bound for side, bound in bounds.items() if bound is not None and side not in instants}
    if instants:
        yield Range(field="dueBy", **instants)
    if days:
        midnights = {side: _instant(day, filters) for side, day in days.items()}
        dates = {side: day.isoformat() for side, day in days.items()}
        yield AnyOf((Range(field="dueAt", **midnights), Range(field="dueOn", **dates)))
    if filters.is_overdue is not None:
        yield _overdue(filters, is_overdue=filters.is_overdue)
    if filters.updated_after is not None:
        yield Range(field="updatedAt", at_least=_instant(filters.updated_after, filters))


def _instant(moment: Moment, filters: TaskFilter) -> datetime:
    return moment if isinstance(moment, datetime) else start_of_day(moment, filters.zone)


def _overdue(filters: TaskFilter, *, is_overdue: bool) -> Criterion:
    """Tasks that are not done although their instant or, for the reader, their day has passed; or all others."""
    now = filters.now or datetime.min.replace(tzinfo=UTC)
    today = now.astimezone(filters.zone).date().isoformat()
    if is_overdue:
        late = AnyOf((Range(field="dueAt", below=now), Range(field="dueOn", below=today)))
        return AllOf((OneOf("status", _OPEN), late))
    in_time = (
        AnyOf((IsNull("dueAt"), Range(field="dueAt", at_least=now))),
        AnyOf((IsNull("dueOn"), Range(field="dueOn", at_least=today))),
    )
    return AnyOf((Equals("status", TaskStatus.DONE), AllOf(in_time)))


class StoredLabels(StoredRepository[Label]):
    """The port Labels."""

    spec = LABELS

    async def matching(self, text: str | None, page: PageRequest, *, deleted: bool = False) -> Page[Label]:
        return await self._page([HasWords(text)] if text else [], page, deleted=deleted)

    async def named(self, names: Iterable[str]) -> dict[str, Label]:
        keys = {name: name_key(name) for name in names}
        labels = await self._all(OneOf("nameKey", tuple(dict.fromkeys(keys.values()))), LIVE) if keys else []
        by_key = {label.name_key: label for label in labels}
        return {name: by_key[key] for name, key in keys.items() if key in by_key}
