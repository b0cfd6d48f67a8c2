"""Projects, timelines, tasks and labels: their questions as criteria."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from adapters.records.criteria import AllOf, Criterion, Equals, HasWords, Holds, OneOf, Order, Question, Range
from adapters.records.record import IS_DELETED, VERSION
from adapters.records.specs import AUDIT_LOGS
from adapters.repositories.generic import StoredRepository
from application.paging import Page, PageRequest
from application.ports.repositories import ProjectFilter, TaskFilter
from domain.label import Label
from domain.project import Project
from domain.task import Task
from domain.timeline import Timeline


def _pinned(**values: str | int | None) -> list[Criterion]:
    """An equality for each value that is set."""
    return [Equals(name, value) for name, value in values.items() if value is not None]


class StoredProjects(StoredRepository[Project]):
    """The port Projects."""

    async def matching(self, wanted: ProjectFilter, page: PageRequest) -> Page[Project]:
        where = _pinned(teamId=wanted.team_id, status=wanted.status)
        where += [
            Equals("ownerId", owner) for owner in {wanted.owner_id, wanted.visible_to} if owner is not None
        ]
        if wanted.text:
            where.append(HasWords(wanted.text))
        return await self._page(where, page, deleted=wanted.deleted)


class StoredTimelines(StoredRepository[Timeline]):
    """The port Timelines."""

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

    async def matching(self, wanted: TaskFilter, page: PageRequest) -> Page[Task]:
        where = _pinned(
            createdBy=wanted.created_by,
            projectId=wanted.project_id,
            status=wanted.status,
            priority=wanted.priority,
        )
        if wanted.label_id is not None:
            where.append(Holds("labelIds", wanted.label_id))
        if wanted.due_before is not None or wanted.due_after is not None:
            where.append(Range(field="dueAt", below=wanted.due_before, above=wanted.due_after))
        if wanted.text:
            where.append(HasWords(wanted.text))
        return await self._page(where, page, deleted=wanted.deleted)

    async def live_in_project(self, project_id: str) -> Sequence[Task]:
        return await self._all(Equals("projectId", project_id), Equals(IS_DELETED, False))  # noqa: FBT003 - a value

    async def trashed_with_project(self, project_id: str, deleted_at: datetime) -> Sequence[Task]:
        of_project = Equals("projectId", project_id)
        return await self._all(of_project, Equals("deletedAt", deleted_at), Equals(IS_DELETED, True))  # noqa: FBT003 - a value


class StoredLabels(StoredRepository[Label]):
    """The port Labels."""

    async def matching(self, text: str | None, page: PageRequest, *, deleted: bool = False) -> Page[Label]:
        return await self._page([HasWords(text)] if text else [], page, deleted=deleted)

    async def named(self, names: Iterable[str]) -> dict[str, Label]:
        wanted = tuple(dict.fromkeys(names))
        live = Equals(IS_DELETED, False)  # noqa: FBT003 - a value
        labels = await self._all(OneOf("name", wanted), live) if wanted else []
        return {label.name: label for label in labels}
