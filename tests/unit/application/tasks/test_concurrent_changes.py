"""Use cases with a concurrent change between reading and commit."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from application.ports.clock import Clock
from application.projects.commands import (
    CreateProject,
    DeleteProject,
    EditProject,
    GetProject,
    RestoreProject,
    RollBackProject,
)
from application.projects.timelines import SaveTimeline
from application.tasks.commands import CreateTask, DeleteTask, EditTask, RestoreTask, RollBackTask
from application.tasks.reading import GetTask
from domain.errors import Conflict, RuleBroken, VersionConflict
from domain.project import Project
from domain.timeline import Plan, TimelineItem
from domain.user import User
from tests.unit.builders import ANNA, BEN, NUMBERS, actor, stamp
from tests.unit.faults import FaultyStore, Moment, Step, open_gate
from tests.unit.memory_store import MemoryRecordStore

Interruption = Callable[[], Awaitable[Any]]
BEFORE_COMMIT = Step("memory", "commit", Moment.BEFORE)
PLAN = Plan(items=(TimelineItem(id="a"),))


class UseCases:
    """The use cases over a store where `interruption` runs right before each of the next `times` commits."""

    def __init__(self, clock: Clock) -> None:
        self.memory, identifiers = MemoryRecordStore(), SortableIdentifiers()
        self.interruption: Interruption | None = None
        self.times = 0
        uninterrupted = partial(StoredUnitOfWork, self.memory, identifiers)
        self.begin = uninterrupted
        interrupted = partial(StoredUnitOfWork, FaultyStore(self.memory, self._gate), identifiers)
        self.new_project = CreateProject(uninterrupted, clock, identifiers)
        self.rename = EditProject(uninterrupted, clock)
        self.delete_now = DeleteProject(uninterrupted, clock)
        self.new_task_now = CreateTask(uninterrupted, clock, identifiers, NUMBERS)
        self.edit_now = EditTask(uninterrupted, clock, NUMBERS)
        self.trash_task = DeleteTask(uninterrupted, clock, NUMBERS)
        self.save_plan_now = SaveTimeline(uninterrupted, clock)
        self.give, self.roll_back = EditProject(interrupted, clock), RollBackProject(interrupted, clock)
        self.task, self.project = GetTask(uninterrupted, clock), GetProject(uninterrupted)
        self.delete, self.restore = DeleteProject(interrupted, clock), RestoreProject(interrupted, clock)
        self.new_task = CreateTask(interrupted, clock, identifiers, NUMBERS)
        self.edit_task, self.restore_task = (
            EditTask(interrupted, clock, NUMBERS),
            RestoreTask(interrupted, clock, NUMBERS),
        )
        self.roll_back_task, self.save_plan = (
            RollBackTask(interrupted, clock, NUMBERS),
            SaveTimeline(interrupted, clock),
        )

    def interrupt(self, interruption: Interruption, *, times: int = 1) -> None:
        self.interruption, self.times = interruption, times

    async def live_in_trash(self) -> list[str]:
        """The live tasks and timelines of deleted projects."""
        projects = await self.memory.scan("projects", after=None, limit=1_000)
        gone = {record["id"] for record in projects if record["isDeleted"]}
        tasks = await self.memory.scan("tasks", after=None, limit=1_000)
        plans = await self.memory.scan("timelines", after=None, limit=1_000)
        places = [(one["id"], one["projectId"], one["isDeleted"]) for one in tasks]
        places += [(one["id"], one["id"], one["isDeleted"]) for one in plans]
        return [id_ for id_, project_id, is_deleted in places if project_id in gone and not is_deleted]

    async def _gate(self, step: Step) -> None:
        await open_gate(step)
        if step == BEFORE_COMMIT and self.times and self.interruption is not None:
            self.times -= 1
            await self.interruption()


@pytest.fixture
async def use_cases(clock: Clock) -> UseCases:
    made = UseCases(clock)
    work = made.begin(actor())
    for id_, name in ((ANNA, "anna"), (BEN, "ben")):
        work.users.save(User.create(id_, stamp(), email=f"{name}@example.org", name=name))
    await work.commit()
    return made


async def _garden(use_cases: UseCases) -> Project:
    return await use_cases.new_project(actor(), {"name": "Garden"})


def _deletion(use_cases: UseCases, project: Project) -> Interruption:
    return lambda: use_cases.delete_now(actor(), project.id, expected_version=None)


async def test_no_task_joins_a_project_that_is_deleted_concurrently(use_cases: UseCases) -> None:
    async def created(garden: Project) -> Any:
        return await use_cases.new_task(actor(), {"title": "x", "project_id": garden.id})

    async def moved(garden: Project) -> Any:
        lone = await use_cases.new_task_now(actor(), {"title": "x"})
        return await use_cases.edit_task(actor(), lone.id, {"project_id": garden.id}, expected_version=1)

    async def restored(garden: Project) -> Any:
        gone = await use_cases.new_task_now(actor(), {"title": "x", "project_id": garden.id})
        await use_cases.trash_task(actor(), gone.id, expected_version=None)
        use_cases.interrupt(_deletion(use_cases, garden))
        return await use_cases.restore_task(actor(), gone.id, expected_version=None)

    async def rolled_back(garden: Project) -> Any:
        left = await use_cases.new_task_now(actor(), {"title": "x", "project_id": garden.id})
        await use_cases.edit_now(actor(), left.id, {"project_id": None}, expected_version=None)
        return await use_cases.roll_back_task(actor(), left.id, version=1, expected_version=None)

    async def planned(garden: Project) -> Any:
        return await use_cases.save_plan(actor(), garden.id, PLAN, expected_version=None)

    for number, join in enumerate((created, moved, restored, rolled_back, planned)):
        garden = await use_cases.new_project(actor(), {"name": f"Garden {number}"})
        use_cases.interrupt(_deletion(use_cases, garden))
        with pytest.raises((RuleBroken, Conflict)) as refusal:
            await join(garden)
        assert not isinstance(refusal.value, VersionConflict), join.__name__
        assert (use_cases.times, await use_cases.live_in_trash()) == (0, []), join.__name__


async def test_tasks_added_while_a_project_is_deleted_are_deleted_and_restored_with_it(
    use_cases: UseCases,
) -> None:
    garden = await _garden(use_cases)
    joined: list[str] = []

    async def join() -> None:
        joined.append((await use_cases.new_task_now(actor(), {"title": "x", "project_id": garden.id})).id)
        await use_cases.save_plan_now(actor(), garden.id, PLAN, expected_version=None)

    use_cases.interrupt(join)
    await use_cases.delete(actor(), garden.id, expected_version=1)
    assert (await use_cases.task(actor(), joined[0])).task.is_deleted
    assert await use_cases.live_in_trash() == []
    await use_cases.restore(actor(), garden.id, expected_version=2)
    assert not (await use_cases.task(actor(), joined[0])).task.is_deleted
    plans = await use_cases.memory.fetch("timelines", [garden.id])
    assert not plans[garden.id]["isDeleted"]


async def test_tasks_added_while_the_ownership_of_a_project_changes_get_the_new_ownership(
    use_cases: UseCases,
) -> None:
    for way in ("edit", "roll back"):
        garden = await use_cases.new_project(actor(), {"name": f"Garden to {way}"})
        there = await use_cases.new_task_now(actor(), {"title": "x", "project_id": garden.id})
        if way == "roll back":
            await use_cases.rename(actor(admin=True), garden.id, {"owner_id": BEN}, expected_version=1)
        joined: list[str] = []

        async def join(project_id: str = garden.id, joined: list[str] = joined) -> None:
            made = await use_cases.new_task_now(actor(admin=True), {"title": "y", "project_id": project_id})
            joined.append(made.id)

        use_cases.interrupt(join)
        admin = actor(admin=True)
        if way == "edit":
            await use_cases.give(admin, garden.id, {"owner_id": BEN}, expected_version=1)
        else:
            await use_cases.roll_back(admin, garden.id, version=1, expected_version=2)
        owner_id = BEN if way == "edit" else ANNA
        found = await use_cases.memory.fetch("tasks", [there.id, *joined])
        assert {record["ownerId"] for record in found.values()} == {owner_id}, way
        assert len(found) == 2, way


async def test_an_unchanged_ownership_does_not_change_the_tasks(use_cases: UseCases) -> None:
    garden = await _garden(use_cases)
    there = await use_cases.new_task_now(actor(), {"title": "x", "project_id": garden.id})
    await use_cases.rename(actor(), garden.id, {"name": "Park", "owner_id": ANNA}, expected_version=1)
    await use_cases.roll_back(actor(), garden.id, version=1, expected_version=2)
    assert (await use_cases.task(actor(), there.id)).task.version == 1


async def test_creations_and_a_deletion_at_once_leave_nothing_live_in_the_trash(use_cases: UseCases) -> None:
    for round_ in range(20):
        garden = await use_cases.new_project(actor(), {"name": f"Garden {round_}"})

        async def create(turns: int, project_id: str = garden.id) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            await use_cases.new_task(actor(), {"title": "x", "project_id": project_id})

        deletion = use_cases.delete(actor(), garden.id, expected_version=1)
        outcomes = await asyncio.gather(*map(create, range(8)), deletion, return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert {type(refusal) for refusal in refused} <= {RuleBroken}
        assert (await use_cases.project(actor(), garden.id)).is_deleted
    assert await use_cases.live_in_trash() == []


async def test_a_concurrent_renaming_of_the_project_does_not_reject_a_new_task(use_cases: UseCases) -> None:
    garden, names = await _garden(use_cases), iter(f"Garden {number}" for number in range(10))

    async def rename() -> None:
        await use_cases.rename(actor(), garden.id, {"name": next(names)}, expected_version=None)

    use_cases.interrupt(rename, times=3)
    made = await use_cases.new_task(actor(), {"title": "x", "project_id": garden.id})
    use_cases.interrupt(rename, times=3)
    await use_cases.save_plan(actor(), garden.id, PLAN, expected_version=0)
    assert (await use_cases.task(actor(), made.id)).task.project_id == garden.id
    use_cases.interrupt(rename, times=4)
    with pytest.raises(VersionConflict) as refusal:
        await use_cases.new_task(actor(), {"title": "y", "project_id": garden.id})
    assert refusal.value.concerns("projects", garden.id)


async def test_a_task_gets_no_parent_that_is_deleted_concurrently(use_cases: UseCases) -> None:
    above = await use_cases.new_task_now(actor(), {"title": "x"})
    use_cases.interrupt(lambda: use_cases.trash_task(actor(), above.id, expected_version=None))
    with pytest.raises(RuleBroken) as refusal:
        await use_cases.new_task(actor(), {"title": "y", "parent_id": above.id})
    assert [fault.pointer for fault in refusal.value.violations] == ["/parentId"]
    stored = await use_cases.memory.scan("tasks", after=None, limit=10)
    assert [(record["id"], record["isDeleted"]) for record in stored] == [(above.id, True)]


async def test_a_concurrent_change_of_the_parent_does_not_reject_a_subtask(use_cases: UseCases) -> None:
    above, titles = await use_cases.new_task_now(actor(), {"title": "x"}), iter("abc")

    async def edit() -> None:
        await use_cases.edit_now(actor(), above.id, {"title": next(titles)}, expected_version=None)

    use_cases.interrupt(edit, times=3)
    made = await use_cases.new_task(actor(), {"title": "y", "parent_id": above.id})
    found = (await use_cases.memory.fetch("tasks", [made.id, above.id])).values()
    assert {(record["title"], record["parentId"]) for record in found} == {("y", above.id), ("c", None)}


async def test_a_concurrent_change_of_a_task_does_not_reject_the_deletion_of_its_project(
    use_cases: UseCases,
) -> None:
    garden = await _garden(use_cases)
    busy = await use_cases.new_task_now(actor(), {"title": "x", "project_id": garden.id})
    titles = iter("abc")

    async def edit() -> None:
        await use_cases.edit_now(actor(), busy.id, {"title": next(titles)}, expected_version=None)

    use_cases.interrupt(edit, times=3)
    deleted = await use_cases.delete(actor(), garden.id, expected_version=1)
    assert (deleted.version, (await use_cases.task(actor(), busy.id)).task.title) == (2, "c")
    assert await use_cases.live_in_trash() == []


async def test_a_project_that_changed_itself_is_not_deleted(use_cases: UseCases) -> None:
    garden = await _garden(use_cases)
    use_cases.interrupt(lambda: use_cases.rename(actor(), garden.id, {"name": "Park"}, expected_version=None))
    with pytest.raises(VersionConflict) as refusal:
        await use_cases.delete(actor(), garden.id, expected_version=1)
    assert refusal.value.concerns("projects", garden.id)
    assert refusal.value.current_version == 2
    assert not (await use_cases.project(actor(), garden.id)).is_deleted
