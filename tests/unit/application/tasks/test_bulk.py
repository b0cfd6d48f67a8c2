"""Many changes of tasks in one request."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from adapters.repositories.display_numbers import StoredDisplayNumbers
from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from application.ports.unit_of_work import Begin
from application.tasks.bulk import ReadTasksWritten, WriteTasksEach, WriteTasksTogether
from application.tasks.bulk_operations import (
    OPERATIONS_MAX,
    CreateOperation,
    DeleteOperation,
    TaskOperation,
    UpdateOperation,
)
from application.tasks.details import TaskDetails
from application.tasks.references import PARENT_DEPTH_MAX
from domain.entity import Stamp
from domain.errors import NotFound, RuleBroken, TandemError, VersionConflict
from domain.task import Task, TaskChanges, TaskStatus
from tests.unit.builders import ANNA, NOON, actor, numbered_id
from tests.unit.counting_store import CountingStore
from tests.unit.faults import FaultyStore, Moment, Step, open_gate
from tests.unit.garden import ASSIGNEE, LABELS, MEMBER, PROJECT, STRANGER, TASKS, Garden
from tests.unit.memory_store import MemoryRecordStore

NOTHING = "f" * 24
BEFORE_COMMIT = Step("memory", "commit", Moment.BEFORE)
CALLS_MAX = 8


class SteppingClock:
    """The port Clock: every look is a second later."""

    def __init__(self) -> None:
        self.instant = NOON

    def now(self) -> datetime:
        self.instant += timedelta(seconds=1)
        return self.instant


class Desk:
    """The use cases over a planted garden; `crossing` comes between reading and the next commit, once."""

    def __init__(self) -> None:
        self.memory = MemoryRecordStore()
        self.crossing: Callable[[], Awaitable[Any]] | None = None
        self.counted = CountingStore(FaultyStore(self.memory, self._gate))
        identifiers, clock = SortableIdentifiers(), SteppingClock()
        self.plain: Begin = partial(StoredUnitOfWork, self.memory, identifiers)
        begin: Begin = partial(StoredUnitOfWork, self.counted, identifiers)
        numbers = StoredDisplayNumbers(self.memory)
        self.together = WriteTasksTogether(begin, clock, identifiers, numbers)
        self.each = WriteTasksEach(begin, clock, identifiers, numbers)
        self.written = ReadTasksWritten(begin)

    async def _gate(self, step: Step) -> None:
        await open_gate(step)
        if step == BEFORE_COMMIT and self.crossing is not None:
            crossing, self.crossing = self.crossing, None
            await crossing()

    async def task(self, id: str) -> Task:
        return await self.plain(actor()).tasks.get(id)

    async def rename(self, id: str) -> None:
        work = self.plain(actor())
        task = await work.tasks.get(id)
        work.tasks.save(task.edit(Stamp(NOON, ANNA), {"title": "Crossed"}))
        await work.commit()

    async def stored(self) -> dict[str, Any]:
        names = ("tasks", "audit_logs")
        return {name: await self.memory.scan(name, after=None, limit=5_000) for name in names}


@pytest.fixture
async def desk() -> Desk:
    made = Desk()
    await Garden(made.plain).plant()
    return made


def new(title: str = "New bed", **more: Any) -> CreateOperation:
    changes: TaskChanges = {"title": title, **more}  # type: ignore[typeddict-item]
    return CreateOperation(changes)


def renamed(id: str, version: int | None = None, **more: Any) -> UpdateOperation:
    changes: TaskChanges = {"title": "Renamed", **more}  # type: ignore[typeddict-item]
    return UpdateOperation(id, changes, version)


def told(outcomes: list[TaskDetails | TandemError]) -> list[str]:
    return [type(each).__name__ for each in outcomes]


async def test_all_operations_are_one_change_set(desk: Desk) -> None:
    operations: list[TaskOperation] = [
        new(project_id=PROJECT, label_ids=LABELS),
        renamed(TASKS[3], 1),
        DeleteOperation(TASKS[4], 1),
    ]
    before = len((await desk.stored())["audit_logs"])
    made, changed, deleted = await desk.together(actor(), operations)
    assert (made.task.version, made.task.display_id) == (1, 21)
    assert (made.task.owner_id, made.task.project_id) == (ANNA, PROJECT)
    assert (changed.task.title, changed.task.version) == ("Renamed", 2)
    assert deleted.task.is_deleted
    assert await desk.task(deleted.id) == deleted.task
    entries = (await desk.stored())["audit_logs"][before:]
    assert len(entries) == 3
    assert len({entry["changeSetId"] for entry in entries}) == 1


async def test_one_fault_refuses_everything_and_all_that_fail_alike_are_named(desk: Desk) -> None:
    before = await desk.stored()
    operations: list[TaskOperation] = [
        new(),
        new(label_ids=(LABELS[0], NOTHING)),
        renamed(TASKS[3]),
        renamed(TASKS[4], parent_id=NOTHING, project_id=NOTHING),
    ]
    with pytest.raises(RuleBroken) as refusal:
        await desk.together(actor(), operations)
    assert [fault.pointer for fault in refusal.value.faults] == [
        "/operations/1/labelIds/1",
        "/operations/3/projectId",
        "/operations/3/parentId",
    ]
    assert await desk.stored() == before


async def test_each_operation_stands_by_itself(desk: Desk) -> None:
    operations: list[TaskOperation] = [
        new(),
        renamed(NOTHING),
        renamed(TASKS[3], 9),
        DeleteOperation(TASKS[0]),
        renamed(TASKS[5]),
        new(title=""),
    ]
    outcomes = await desk.each(actor(ASSIGNEE), operations)
    assert told(outcomes) == ["TaskDetails", "NotFound", "NotFound", "Forbidden", "NotFound", "RuleBroken"]
    outcomes = await desk.each(actor(), operations)
    assert told(outcomes) == [
        "TaskDetails",
        "NotFound",
        "VersionConflict",
        "TaskDetails",
        "TaskDetails",
        "RuleBroken",
    ]
    assert (await desk.task(TASKS[0])).is_deleted
    assert (await desk.task(TASKS[5])).title == "Renamed"
    assert (await desk.task(TASKS[3])).version == 1


async def test_who_may_not_know_of_one_task_changes_none(desk: Desk) -> None:
    before = await desk.stored()
    with pytest.raises(NotFound) as refusal:
        await desk.together(actor(STRANGER), [new(), renamed(TASKS[3])])
    assert [fault.pointer for fault in refusal.value.faults] == ["/operations/1"]
    assert await desk.stored() == before


async def test_one_request_changes_a_task_once(desk: Desk) -> None:
    operations: list[TaskOperation] = [renamed(TASKS[3]), DeleteOperation(TASKS[3])]
    with pytest.raises(RuleBroken) as refusal:
        await desk.together(actor(), operations)
    assert [fault.pointer for fault in refusal.value.faults] == ["/operations/1/id"]
    assert told(await desk.each(actor(), operations)) == ["TaskDetails", "RuleBroken"]
    assert not (await desk.task(TASKS[3])).is_deleted


async def test_tasks_that_move_under_each_other_in_one_request_make_no_circle(desk: Desk) -> None:
    circle = [
        UpdateOperation(TASKS[3], {"parent_id": TASKS[4]}),
        UpdateOperation(TASKS[4], {"parent_id": TASKS[5]}),
        UpdateOperation(TASKS[5], {"parent_id": TASKS[3]}),
    ]
    with pytest.raises(RuleBroken) as refusal:
        await desk.together(actor(), circle)
    assert [fault.pointer for fault in refusal.value.faults] == ["/operations/2/parentId"]
    assert told(await desk.each(actor(), circle)) == ["TaskDetails", "TaskDetails", "RuleBroken"]


async def test_somebody_at_one_of_the_tasks_refuses_all_and_is_named(desk: Desk) -> None:
    desk.crossing = lambda: desk.rename(TASKS[4])
    with pytest.raises(VersionConflict) as refusal:
        await desk.together(actor(), [new(), renamed(TASKS[3]), renamed(TASKS[4])])
    assert [fault.pointer for fault in refusal.value.faults] == ["/operations/2"]
    assert (await desk.task(TASKS[3])).version == 1


async def test_somebody_at_one_of_the_tasks_does_not_hinder_the_others(desk: Desk) -> None:
    desk.crossing = lambda: desk.rename(TASKS[4])
    outcomes = await desk.each(actor(), [new(), renamed(TASKS[3]), renamed(TASKS[4], 1), renamed(TASKS[5])])
    assert told(outcomes) == ["TaskDetails", "TaskDetails", "VersionConflict", "TaskDetails"]
    assert [(await desk.task(TASKS[number])).title for number in (3, 4, 5)] == [
        "Renamed",
        "Crossed",
        "Renamed",
    ]


async def test_a_project_that_changes_in_that_moment_hinders_nobody(desk: Desk) -> None:
    async def recolour() -> None:
        work = desk.plain(actor())
        project = await work.projects.get(PROJECT)
        work.projects.save(project.edit(Stamp(NOON, ANNA), {"color": "#00ff00"}))
        await work.commit()

    desk.crossing = recolour
    (made,) = await desk.together(actor(), [new(project_id=PROJECT)])
    assert await desk.task(made.id) == made.task


@pytest.mark.parametrize(("by", "count"), [(ANNA, 10), (MEMBER, OPERATIONS_MAX)])
async def test_calls_to_the_store_do_not_grow_with_the_operations(desk: Desk, by: str, count: int) -> None:
    changed = [renamed(id, label_ids=LABELS, parent_id=TASKS[19]) for id in TASKS[2:8]]
    made = [new(project_id=PROJECT, label_ids=LABELS[:2], parent_id=TASKS[1])] * (count - len(changed))
    desk.counted.calls.clear()
    assert len(await desk.together(actor(by), [*changed, *made])) == count
    assert desk.counted.commits == 1
    assert len(desk.counted.calls) <= CALLS_MAX, desk.counted.calls


async def test_what_the_same_request_made_before_is_found_again_as_it_was(desk: Desk) -> None:
    operations: list[TaskOperation] = [
        new("first"),
        UpdateOperation(TASKS[3], {"status": TaskStatus.TODO}),
        renamed(TASKS[4]),
        new("second"),
        DeleteOperation(TASKS[5]),
    ]
    made = await desk.together(actor(), operations)
    await desk.rename(TASKS[4])
    await desk.rename(made[3].id)
    first = made[0]
    found = await desk.written(actor(), operations, id=first.id, version=first.version)
    assert [each.task for each in found] == [each.task for each in made]


async def test_a_task_that_a_request_left_alone_is_found_again_as_it_was(desk: Desk) -> None:
    operations: list[TaskOperation] = [
        UpdateOperation(TASKS[3], {"status": TaskStatus.TODO}),
        new("made"),
        UpdateOperation(TASKS[4], {"status": TaskStatus.TODO}),
    ]
    told = await desk.together(actor(), operations)
    made = told[1]
    for title in ("Later", "Later still"):
        await desk.together(actor(), [UpdateOperation(TASKS[3], {"title": title})])
    assert (await desk.task(TASKS[3])).version == told[0].version + 2

    found = await desk.written(actor(), operations, id=made.id, version=made.version)

    assert [each.task for each in found] == [each.task for each in told]


async def test_what_the_trail_does_not_tell_any_more_is_not_found(desk: Desk) -> None:
    made = (await desk.together(actor(), [new("made")]))[0]
    untold: list[tuple[list[TaskOperation], str]] = [
        ([new("made")], NOTHING),
        ([renamed(TASKS[3])], NOTHING),
        ([new("made"), new("lost")], made.id),
    ]
    for operations, id in untold:
        with pytest.raises(NotFound):
            await desk.written(actor(), operations, id=id, version=1)


async def test_a_task_from_before_numbers_gets_one_when_it_is_next_written(desk: Desk) -> None:
    work = desk.plain(actor())
    old = [Task.create(numbered_id(number), Stamp(NOON, ANNA), {"title": "Old"}) for number in (0x900, 0x901)]
    for task in old:
        work.tasks.save(task)
    await work.commit()
    untouched = UpdateOperation(old[1].id, {"title": "Old"})
    changed, same = await desk.together(actor(), [renamed(old[0].id), untouched])
    assert (changed.task.display_id, changed.task.version) == (21, 2)
    assert (same.task.display_id, same.task.version) == (None, 1)
    assert await desk.task(old[0].id) == changed.task


async def test_a_lineage_that_is_too_deep_is_refused(desk: Desk) -> None:
    work = desk.plain(actor())
    for number in range(PARENT_DEPTH_MAX + 1):
        parent = None if number == 0 else numbered_id(0xA00 + number - 1)
        changes = TaskChanges(title="Deep", parent_id=parent)
        work.tasks.save(Task.create(numbered_id(0xA00 + number), Stamp(NOON, ANNA), changes))
    await work.commit()
    deepest = numbered_id(0xA00 + PARENT_DEPTH_MAX)
    with pytest.raises(RuleBroken) as refusal:
        await desk.together(actor(), [new(parent_id=deepest)])
    assert refusal.value.faults[0].pointer == "/operations/0/parentId"
