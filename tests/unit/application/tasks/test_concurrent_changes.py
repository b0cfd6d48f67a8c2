"""Use cases that somebody else crosses between reading and commit."""

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

Crossing = Callable[[], Awaitable[Any]]
BEFORE_COMMIT = Step("memory", "commit", Moment.BEFORE)
PLAN = Plan(items=(TimelineItem(id="a"),))


class Desk:
    """The use cases over a store where others come between: `crossing` runs right before a commit, so often."""

    def __init__(self, clock: Clock) -> None:
        self.memory, identifiers = MemoryRecordStore(), SortableIdentifiers()
        self.crossing: Crossing | None = None
        self.times = 0
        undisturbed = partial(StoredUnitOfWork, self.memory, identifiers)
        self.begin = undisturbed
        crossed = partial(StoredUnitOfWork, FaultyStore(self.memory, self._gate), identifiers)
        self.new_project = CreateProject(undisturbed, clock, identifiers)
        self.rename = EditProject(undisturbed, clock)
        self.delete_now = DeleteProject(undisturbed, clock)
        self.new_task_now = CreateTask(undisturbed, clock, identifiers, NUMBERS)
        self.edit_now = EditTask(undisturbed, clock, NUMBERS)
        self.trash_task = DeleteTask(undisturbed, clock, NUMBERS)
        self.save_plan_now = SaveTimeline(undisturbed, clock)
        self.give, self.roll_back = EditProject(crossed, clock), RollBackProject(crossed, clock)
        self.task, self.project = GetTask(undisturbed, clock), GetProject(undisturbed)
        self.delete, self.restore = DeleteProject(crossed, clock), RestoreProject(crossed, clock)
        self.new_task = CreateTask(crossed, clock, identifiers, NUMBERS)
        self.edit_task, self.restore_task = (
            EditTask(crossed, clock, NUMBERS),
            RestoreTask(crossed, clock, NUMBERS),
        )
        self.roll_back_task, self.save_plan = (
            RollBackTask(crossed, clock, NUMBERS),
            SaveTimeline(crossed, clock),
        )

    def cross(self, crossing: Crossing, *, times: int = 1) -> None:
        self.crossing, self.times = crossing, times

    async def live_in_trash(self) -> list[str]:
        """Tasks and timelines that are live although their project is not."""
        projects = await self.memory.scan("projects", after=None, limit=1_000)
        gone = {record["id"] for record in projects if record["isDeleted"]}
        tasks = await self.memory.scan("tasks", after=None, limit=1_000)
        plans = await self.memory.scan("timelines", after=None, limit=1_000)
        places = [(one["id"], one["projectId"], one["isDeleted"]) for one in tasks]
        places += [(one["id"], one["id"], one["isDeleted"]) for one in plans]
        return [id_ for id_, project_id, is_deleted in places if project_id in gone and not is_deleted]

    async def _gate(self, step: Step) -> None:
        await open_gate(step)
        if step == BEFORE_COMMIT and self.times and self.crossing is not None:
            self.times -= 1
            await self.crossing()


@pytest.fixture
async def desk(clock: Clock) -> Desk:
    made = Desk(clock)
    work = made.begin(actor())
    for id_, name in ((ANNA, "anna"), (BEN, "ben")):
        work.users.save(User.create(id_, stamp(), email=f"{name}@example.org", name=name))
    await work.commit()
    return made


async def _garden(desk: Desk) -> Project:
    return await desk.new_project(actor(), {"name": "Garden"})


def _deletion(desk: Desk, project: Project) -> Crossing:
    return lambda: desk.delete_now(actor(), project.id, expected_version=None)


async def test_nothing_joins_a_project_that_is_deleted_meanwhile(desk: Desk) -> None:
    async def created(garden: Project) -> Any:
        return await desk.new_task(actor(), {"title": "x", "project_id": garden.id})

    async def moved(garden: Project) -> Any:
        lone = await desk.new_task_now(actor(), {"title": "x"})
        return await desk.edit_task(actor(), lone.id, {"project_id": garden.id}, expected_version=1)

    async def restored(garden: Project) -> Any:
        gone = await desk.new_task_now(actor(), {"title": "x", "project_id": garden.id})
        await desk.trash_task(actor(), gone.id, expected_version=None)
        desk.cross(_deletion(desk, garden))
        return await desk.restore_task(actor(), gone.id, expected_version=None)

    async def rolled_back(garden: Project) -> Any:
        left = await desk.new_task_now(actor(), {"title": "x", "project_id": garden.id})
        await desk.edit_now(actor(), left.id, {"project_id": None}, expected_version=None)
        return await desk.roll_back_task(actor(), left.id, version=1, expected_version=None)

    async def planned(garden: Project) -> Any:
        return await desk.save_plan(actor(), garden.id, PLAN, expected_version=None)

    for number, join in enumerate((created, moved, restored, rolled_back, planned)):
        garden = await desk.new_project(actor(), {"name": f"Garden {number}"})
        desk.cross(_deletion(desk, garden))
        with pytest.raises((RuleBroken, Conflict)) as refusal:
            await join(garden)
        assert not isinstance(refusal.value, VersionConflict), join.__name__
        assert (desk.times, await desk.live_in_trash()) == (0, []), join.__name__


async def test_what_joins_while_a_project_is_deleted_goes_and_comes_back_with_it(desk: Desk) -> None:
    garden = await _garden(desk)
    joined: list[str] = []

    async def join() -> None:
        joined.append((await desk.new_task_now(actor(), {"title": "x", "project_id": garden.id})).id)
        await desk.save_plan_now(actor(), garden.id, PLAN, expected_version=None)

    desk.cross(join)
    await desk.delete(actor(), garden.id, expected_version=1)
    assert (await desk.task(actor(), joined[0])).task.is_deleted
    assert await desk.live_in_trash() == []
    await desk.restore(actor(), garden.id, expected_version=2)
    assert not (await desk.task(actor(), joined[0])).task.is_deleted
    plans = await desk.memory.fetch("timelines", [garden.id])
    assert not plans[garden.id]["isDeleted"]


async def test_what_joins_while_a_project_changes_hands_goes_along(desk: Desk) -> None:
    for way in ("edit", "roll back"):
        garden = await desk.new_project(actor(), {"name": f"Garden to {way}"})
        there = await desk.new_task_now(actor(), {"title": "x", "project_id": garden.id})
        if way == "roll back":
            await desk.rename(actor(ANNA, admin=True), garden.id, {"owner_id": BEN}, expected_version=1)
        joined: list[str] = []

        async def join(project_id: str = garden.id, joined: list[str] = joined) -> None:
            made = await desk.new_task_now(actor(ANNA, admin=True), {"title": "y", "project_id": project_id})
            joined.append(made.id)

        desk.cross(join)
        admin = actor(ANNA, admin=True)
        if way == "edit":
            await desk.give(admin, garden.id, {"owner_id": BEN}, expected_version=1)
        else:
            await desk.roll_back(admin, garden.id, version=1, expected_version=2)
        owner_id = BEN if way == "edit" else ANNA
        found = await desk.memory.fetch("tasks", [there.id, *joined])
        assert {record["ownerId"] for record in found.values()} == {owner_id}, way
        assert len(found) == 2, way


async def test_a_project_that_keeps_its_hands_leaves_its_tasks_alone(desk: Desk) -> None:
    garden = await _garden(desk)
    there = await desk.new_task_now(actor(), {"title": "x", "project_id": garden.id})
    await desk.rename(actor(), garden.id, {"name": "Park", "owner_id": ANNA}, expected_version=1)
    await desk.roll_back(actor(), garden.id, version=1, expected_version=2)
    assert (await desk.task(actor(), there.id)).task.version == 1


async def test_creations_and_a_deletion_at_once_leave_nothing_live_in_the_trash(desk: Desk) -> None:
    for round_ in range(20):
        garden = await desk.new_project(actor(), {"name": f"Garden {round_}"})

        async def create(turns: int, project_id: str = garden.id) -> None:
            for _ in range(turns):
                await asyncio.sleep(0)
            await desk.new_task(actor(), {"title": "x", "project_id": project_id})

        deletion = desk.delete(actor(), garden.id, expected_version=1)
        outcomes = await asyncio.gather(*map(create, range(8)), deletion, return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert {type(refusal) for refusal in refused} <= {RuleBroken}
        assert (await desk.project(actor(), garden.id)).is_deleted
    assert await desk.live_in_trash() == []


async def test_a_renamed_project_hinders_nobody_who_joins_it(desk: Desk) -> None:
    garden, names = await _garden(desk), iter(f"Garden {number}" for number in range(10))

    async def rename() -> None:
        await desk.rename(actor(), garden.id, {"name": next(names)}, expected_version=None)

    desk.cross(rename, times=3)
    made = await desk.new_task(actor(), {"title": "x", "project_id": garden.id})
    desk.cross(rename, times=3)
    await desk.save_plan(actor(), garden.id, PLAN, expected_version=0)
    assert (await desk.task(actor(), made.id)).task.project_id == garden.id
    desk.cross(rename, times=4)
    with pytest.raises(VersionConflict) as refusal:
        await desk.new_task(actor(), {"title": "y", "project_id": garden.id})
    assert refusal.value.concerns("projects", garden.id)


async def test_nothing_new_hangs_below_what_goes_to_the_trash_meanwhile(desk: Desk) -> None:
    above = await desk.new_task_now(actor(), {"title": "x"})
    desk.cross(lambda: desk.trash_task(actor(), above.id, expected_version=None))
    with pytest.raises(RuleBroken) as refusal:
        await desk.new_task(actor(), {"title": "y", "parent_id": above.id})
    assert [fault.pointer for fault in refusal.value.violations] == ["/parentId"]
    stored = await desk.memory.scan("tasks", after=None, limit=10)
    assert [(record["id"], record["isDeleted"]) for record in stored] == [(above.id, True)]


async def test_a_busy_task_hinders_nobody_who_hangs_one_below_it(desk: Desk) -> None:
    above, titles = await desk.new_task_now(actor(), {"title": "x"}), iter("abc")

    async def edit() -> None:
        await desk.edit_now(actor(), above.id, {"title": next(titles)}, expected_version=None)

    desk.cross(edit, times=3)
    made = await desk.new_task(actor(), {"title": "y", "parent_id": above.id})
    found = (await desk.memory.fetch("tasks", [made.id, above.id])).values()
    assert {(record["title"], record["parentId"]) for record in found} == {("y", above.id), ("c", None)}


async def test_a_busy_task_does_not_hinder_the_deletion_of_its_project(desk: Desk) -> None:
    garden = await _garden(desk)
    busy = await desk.new_task_now(actor(), {"title": "x", "project_id": garden.id})
    titles = iter("abc")

    async def edit() -> None:
        await desk.edit_now(actor(), busy.id, {"title": next(titles)}, expected_version=None)

    desk.cross(edit, times=3)
    deleted = await desk.delete(actor(), garden.id, expected_version=1)
    assert (deleted.version, (await desk.task(actor(), busy.id)).task.title) == (2, "c")
    assert await desk.live_in_trash() == []


async def test_a_project_that_changed_itself_is_not_deleted(desk: Desk) -> None:
    garden = await _garden(desk)
    desk.cross(lambda: desk.rename(actor(), garden.id, {"name": "Park"}, expected_version=None))
    with pytest.raises(VersionConflict) as refusal:
        await desk.delete(actor(), garden.id, expected_version=1)
    assert refusal.value.concerns("projects", garden.id)
    assert refusal.value.current_version == 2
    assert not (await desk.project(actor(), garden.id)).is_deleted
