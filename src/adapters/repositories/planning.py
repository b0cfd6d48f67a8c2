"""Projects, timelines, tasks and labels: their questions as criteria."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

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
)
from adapters.records.record import ID, IS_DELETED, IS_ERASED, VERSION
from adapters.records.specs import AUDIT_LOGS
from adapters.repositories.audit_entries import LARGE_ENTRIES_AT_ONCE
from adapters.repositories.generic import StoredRepository, trashed_under
from application.paging import Page, PageRequest
from application.ports.repositories import Audience, ProjectFilter, TaskFilter
from domain.entity import Stamp
from domain.label import Label
from domain.project import Project
from domain.task import Task
from domain.timeline import Timeline

LIVE = Equals(IS_DELETED, False)  # noqa: FBT003 - a value


def _pinned(**values: str | int | None) -> list[Criterion]:
    """An equality for each value that is set."""
    return [Equals(name, value) for name, value in values.items() if value is not None]


def _homes_of(audience: Audience) -> tuple[Criterion, ...]:
    """What belongs to the user or to one of his teams."""
    own = Equals("ownerId", audience.user_id)
    return (own, OneOf("teamId", audience.team_ids)) if audience.team_ids else (own,)


def _seen_by(audience: Audience) -> Criterion:
    """The tasks that `domain.permissions.may_see_task` shows this audience."""
    return AnyOf((*_homes_of(audience), OneOf("assigneeId", (audience.user_id, *audience.team_ids))))


class StoredProjects(StoredRepository[Project]):
    """The port Projects."""

    async def matching(self, filters: ProjectFilter, page: PageRequest) -> Page[Project]:
        where = _pinned(ownerId=filters.owner_id, teamId=filters.team_id, status=filters.status)
        if (audience := filters.visible_to) is not None:
            where.append(AnyOf(_homes_of(audience)))
        if filters.text:
            where.append(HasWords(filters.text))
        return await self._page(where, page, deleted=filters.deleted)

    async def of_team(self, team_id: str, *, limit: int) -> Sequence[Project]:
        return await self._some(Equals("teamId", team_id), limit=limit)


class StoredTimelines(StoredRepository[Timeline]):
    """The port Timelines. Each entry holds a whole plan twice, as it was before and after."""

    undo_page = LARGE_ENTRIES_AT_ONCE

    async def of_project(self, project_id: str) -> Timeline | None:
        return (await self.get_many([project_id])).get(project_id)

    async def version_at(self, project_id: str, at: datetime) -> int | None:
        of_project = (Equals("collection", self._spec.collection), Equals("entityId", project_id))
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


def _task_criteria(filters: TaskFilter) -> Iterator[Criterion]:
    yield from _pinned(
        createdBy=filters.created_by,
        projectId=filters.project_id,
        assigneeId=filters.assignee_id,
        executorId=filters.executor_id,
        status=filters.status,
        priority=filters.priority,
    )
    if filters.ids is not None:
        yield OneOf(ID, filters.ids)
    if filters.visible_to is not None:
        yield _seen_by(filters.visible_to)
    if filters.team_id is not None:
        yield AnyOf((Equals("teamId", filters.team_id), Equals("assigneeId", filters.team_id)))
    if filters.is_assigned:
        yield NotNull("assigneeId")
    if filters.deferred is not None:
        yield _deferred(filters.deferred, filters.now)
    if filters.label_id is not None:
        yield Holds("labelIds", filters.label_id)
    if filters.due_before is not None or filters.due_after is not None:
        yield Range(field="dueAt", below=filters.due_before, above=filters.due_after)
    if filters.text:
        yield HasWords(filters.text)


def _deferred(is_deferred: bool, now: datetime | None) -> Criterion:  # noqa: FBT001 - a value
    if is_deferred:
        return Range(field="deferredTill", above=now)
    return AnyOf((IsNull("deferredTill"), Range(field="deferredTill", at_most=now)))


class StoredLabels(StoredRepository[Label]):
    """The port Labels."""

    async def matching(self, text: str | None, page: PageRequest, *, deleted: bool = False) -> Page[Label]:
        return await self._page([HasWords(text)] if text else [], page, deleted=deleted)

    async def named(self, names: Iterable[str]) -> dict[str, Label]:
        filters = tuple(dict.fromkeys(names))
        labels = await self._all(OneOf("name", filters), LIVE) if filters else []
        return {label.name: label for label in labels}
