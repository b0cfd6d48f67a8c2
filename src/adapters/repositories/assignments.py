"""Repositories of assignments and watches: their questions as criteria."""

from collections.abc import Iterable, Sequence

from adapters.records.criteria import Equals, OneOf
from adapters.records.specs import TASK_ASSIGNMENTS, WATCHLISTS
from adapters.repositories.generic import LIVE, StoredRepository
from application.paging import Page, PageRequest
from domain.assignment import TaskAssignment
from domain.watch import Watch


class StoredAssignments(StoredRepository[TaskAssignment]):
    """The port Assignments."""

    spec = TASK_ASSIGNMENTS

    async def executed_by(self, user_id: str, team_id: str) -> Sequence[TaskAssignment]:
        return await self._all(Equals("executorId", user_id), Equals("assigneeId", team_id), LIVE)

    async def of_task(self, task_id: str) -> TaskAssignment | None:
        found = await self._all(Equals("taskId", task_id), LIVE)
        return found[0] if found else None

    async def ever_of_tasks(self, task_ids: Iterable[str]) -> Sequence[TaskAssignment]:
        return await self._all(OneOf("taskId", tuple(task_ids)))

    async def of_tasks(self, task_ids: Iterable[str]) -> dict[str, TaskAssignment]:
        ids = tuple(dict.fromkeys(task_ids))
        found = await self._all(OneOf("taskId", ids), LIVE) if ids else []
        return {assignment.task_id: assignment for assignment in found}


class StoredWatches(StoredRepository[Watch]):
    """The port Watches."""

    spec = WATCHLISTS

    async def page_of_user(self, user_id: str, page: PageRequest) -> Page[Watch]:
        return await self._page([Equals("userId", user_id)], page, deleted=False)

    async def task_ids_of_user(self, user_id: str) -> tuple[str, ...]:
        return tuple(watch.task_id for watch in await self._all(Equals("userId", user_id), LIVE))

    async def ever_of_tasks(self, task_ids: Iterable[str]) -> Sequence[Watch]:
        return await self._all(OneOf("taskId", tuple(task_ids)))
