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
from tests.unit.memory_store import MemoryRecordStore
from tests.unit.team_project import ASSIGNEE, LABELS, MEMBER, PROJECT, STRANGER, TASKS, TeamProject

NOTHING = "f" * 24
BEFORE_COMMIT = Step("memory", "commit", Moment.BEFORE)
CALLS_MAX = 8


class SteppingClock:
    """The port Clock: one second later at each reading."""

    def __init__(self) -> None:
        self.instant = NOON

    def now(self) -> datetime:
        self.instant += timedelta(seconds=1)
        return self.instant


class UseCases:
    """The use cases over a stored team project; `interruption` runs once, before the next commit."""

    def __init__(self) -> None:
        self.memory = MemoryRecordStore()
        self.interruption: Callable[[], Awaitable[Any]] | None = None
        self.counted = CountingStore(FaultyStore(self.memory, self._gate))
        identifiers, clock = SortableIdentifiers(), SteppingClock()
        self.plain: Begin = partial(StoredUnitOfWork, self.memory, identifiers)
        begin: Begin = partial(StoredUnitOfWork, self.counted, identifiers)
        numbers = StoredDisplayNumbers(self.memory)
        self.together = WriteTasksTogether(begin, clock, numbers, identifiers)
        self.each = WriteTasksEach(begin, clock, numbers, identifiers)
        self.written = ReadTasksWritten(begin)

    async def _gate(self, step: Step) -> None:
        await open_gate(step)
        if step == BEFORE_COMMIT and self.interruption is not None:
            interruption, self.interruption = self.interruption, None
            await interruption()

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
async def use_cases() -> UseCases:
    made = UseCases()
    await TeamProject(made.plain).store()
    return made


def new(title: str = "New bed", **more: Any) -> CreateOperation:
    changes: TaskChanges = {"title": title, **more}  # type: ignore[typeddict-item]
    return CreateOperation(changes)


def renamed(id: str, version: int | None = None, **more: Any) -> UpdateOperation:
    changes: TaskChanges = {"title": "Renamed", **more}  # type: ignore[typeddict-item]
    return UpdateOperation(id, changes, version)


def told(outcomes: list[TaskDetails | TandemError]) -> list[str]:
    return [type(each).__name__ for each in outcomes]


async def test_all_operations_are_one_change_set(use_cases: UseCases) -> None:
    operations: list[TaskOperation] = [
        new(project_id=PROJECT, label_ids=LABELS),
        renamed(TASKS[3], 1),
        DeleteOperation(TASKS[4], 1),
    ]
    before = len((await use_cases.stored())["audit_logs"])
    made, changed, deleted = await use_cases.together(actor(), operations)
    assert (made.task.version, made.task.display_id) == (1, 21)
    assert (made.task.owner_id, made.task.project_id) == (ANNA, PROJECT)
    assert (changed.task.title, changed.task.version) == ("Renamed", 2)
    assert deleted.task.is_deleted
    assert await use_cases.task(deleted.id) == deleted.task
    entries = (await use_cases.stored())["audit_logs"][before:]
    assert len(entries) == 3
    assert len({entry["changeSetId"] for entry in entries}) == 1


async def test_one_fault_refuses_everything_and_all_that_fail_alike_are_named(use_cases: UseCases) -> None:
    before = await use_cases.stored()
    operations: list[TaskOperation] = [
        new(),
        new(label_ids=(LABELS[0], NOTHING)),
        renamed(TASKS[3]),
        renamed(TASKS[4], parent_id=NOTHING, project_id=NOTHING),
    ]
    with pytest.raises(RuleBroken) as refusal:
        await use_cases.together(actor(), operations)
    assert [fault.pointer for fault in refusal.value.violations] == [
        "/operations/1/labelIds/1",
        "/operations/3/projectId",
        "/operations/3/parentId",
    ]
    assert await use_cases.stored() == before


async def test_each_operation_stands_by_itself(use_cases: UseCases) -> None:
    operations: list[TaskOperation] = [
        new(),
        renamed(NOTHING),
        renamed(TASKS[3], 9),
        DeleteOperation(TASKS[0]),
        renamed(TASKS[5]),
        new(title=""),
    ]
    outcomes = await use_cases.each(actor(ASSIGNEE), operations)
    assert told(outcomes) == ["TaskDetails", "NotFound", "NotFound", "Forbidden", "NotFound", "RuleBroken"]
    outcomes = await use_cases.each(actor(), operations)
    assert told(outcomes) == [
        "TaskDetails",
        "NotFound",
        "VersionConflict",
        "TaskDetails",
        "TaskDetails",
        "RuleBroken",
    ]
    assert (await use_cases.task(TASKS[0])).is_deleted
    assert (await use_cases.task(TASKS[5])).title == "Renamed"
    assert (await use_cases.task(TASKS[3])).version == 1


async def test_one_invisible_task_rejects_all_operations(use_cases: UseCases) -> None:
    before = await use_cases.stored()
    with pytest.raises(NotFound) as refusal:
        await use_cases.together(actor(STRANGER), [new(), renamed(TASKS[3])])
    assert [fault.pointer for fault in refusal.value.violations] == ["/operations/1"]
    assert await use_cases.stored() == before


async def test_one_request_changes_a_task_once(use_cases: UseCases) -> None:
    operations: list[TaskOperation] = [renamed(TASKS[3]), DeleteOperation(TASKS[3])]
    with pytest.raises(RuleBroken) as refusal:
        await use_cases.together(actor(), operations)
    assert [fault.pointer for fault in refusal.value.violations] == ["/operations/1/id"]
    assert told(await use_cases.each(actor(), operations)) == ["TaskDetails", "RuleBroken"]
    assert not (await use_cases.task(TASKS[3])).is_deleted


async def test_tasks_that_move_under_each_other_in_one_request_make_no_circle(use_cases: UseCases) -> None:
    circle = [
        UpdateOperation(TASKS[3], {"parent_id": TASKS[4]}),
        UpdateOperation(TASKS[4], {"parent_id": TASKS[5]}),
        UpdateOperation(TASKS[5], {"parent_id": TASKS[3]}),
    ]
    with pytest.raises(RuleBroken) as refusal:
        await use_cases.together(actor(), circle)
    assert [fault.pointer for fault in refusal.value.violations] == ["/operations/2/parentId"]
    assert told(await use_cases.each(actor(), circle)) == ["TaskDetails", "TaskDetails", "RuleBroken"]


async def test_somebody_at_one_of_the_tasks_refuses_all_and_is_named(use_cases: UseCases) -> None:
    use_cases.interruption = lambda: use_cases.rename(TASKS[4])
    with pytest.raises(VersionConflict) as refusal:
        await use_cases.together(actor(), [new(), renamed(TASKS[3]), renamed(TASKS[4])])
    assert [fault.pointer for fault in refusal.value.violations] == ["/operations/2"]
    assert (await use_cases.task(TASKS[3])).version == 1


async def test_somebody_at_one_of_the_tasks_does_not_hinder_the_others(use_cases: UseCases) -> None:
    use_cases.interruption = lambda: use_cases.rename(TASKS[4])
    outcomes = await use_cases.each(
        actor(), [new(), renamed(TASKS[3]), renamed(TASKS[4], 1), renamed(TASKS[5])]
    )
    assert told(outcomes) == ["TaskDetails", "TaskDetails", "VersionConflict", "TaskDetails"]
    assert [(await use_cases.task(TASKS[number])).title for number in (3, 4, 5)] == [
        "Renamed",
        "Crossed",
        "Renamed",
    ]


async def test_a_project_that_changes_in_that_moment_hinders_nobody(use_cases: UseCases) -> None:
    async def recolour() -> None:
        work = use_cases.plain(actor())
        project = await work.projects.get(PROJECT)
        work.projects.save(project.edit(Stamp(NOON, ANNA), {"color": "#00ff00"}))
        await work.commit()

    use_cases.interruption = recolour
    (made,) = await use_cases.together(actor(), [new(project_id=PROJECT)])
    assert await use_cases.task(made.id) == made.task


@pytest.mark.parametrize(("by", "count"), [(ANNA, 10), (MEMBER, OPERATIONS_MAX)])
async def test_calls_to_the_store_do_not_grow_with_the_operations(
    use_cases: UseCases, by: str, count: int
) -> None:
    changed = [renamed(id, label_ids=LABELS, parent_id=TASKS[19]) for id in TASKS[2:8]]
    made = [new(project_id=PROJECT, label_ids=LABELS[:2], parent_id=TASKS[1])] * (count - len(changed))
    use_cases.counted.calls.clear()
    assert len(await use_cases.together(actor(by), [*changed, *made])) == count
    assert use_cases.counted.commits == 1
    assert len(use_cases.counted.calls) <= CALLS_MAX, use_cases.counted.calls


async def test_what_the_same_request_made_before_is_found_again_as_it_was(use_cases: UseCases) -> None:
    operations: list[TaskOperation] = [
        new("first"),
        UpdateOperation(TASKS[3], {"status": TaskStatus.TODO}),
        renamed(TASKS[4]),
        new("second"),
        DeleteOperation(TASKS[5]),
    ]
    made = await use_cases.together(actor(), operations)
    await use_cases.rename(TASKS[4])
    await use_cases.rename(made[3].id)
    first = made[0]
    found = await use_cases.written(actor(), operations, id=first.id, version=first.version)
    assert [each.task for each in found] == [each.task for each in made]


async def test_a_task_that_a_request_left_alone_is_found_again_as_it_was(use_cases: UseCases) -> None:
    operations: list[TaskOperation] = [
        UpdateOperation(TASKS[3], {"status": TaskStatus.TODO}),
        new("made"),
        UpdateOperation(TASKS[4], {"status": TaskStatus.TODO}),
    ]
    told = await use_cases.together(actor(), operations)
    made = told[1]
    for title in ("Later", "Later still"):
        await use_cases.together(actor(), [UpdateOperation(TASKS[3], {"title": title})])
    assert (await use_cases.task(TASKS[3])).version == told[0].version + 2

    found = await use_cases.written(actor(), operations, id=made.id, version=made.version)

    assert [each.task for each in found] == [each.task for each in told]


async def test_a_result_that_the_trail_no_longer_holds_is_not_found(use_cases: UseCases) -> None:
    made = (await use_cases.together(actor(), [new("made")]))[0]
    untold: list[tuple[list[TaskOperation], str]] = [
        ([new("made")], NOTHING),
        ([renamed(TASKS[3])], NOTHING),
        ([new("made"), new("lost")], made.id),
    ]
    for operations, id in untold:
        with pytest.raises(NotFound):
            await use_cases.written(actor(), operations, id=id, version=1)


async def test_a_task_from_before_numbers_gets_one_when_it_is_next_written(use_cases: UseCases) -> None:
    work = use_cases.plain(actor())
    old = [Task.create(numbered_id(number), Stamp(NOON, ANNA), {"title": "Old"}) for number in (0x900, 0x901)]
    for task in old:
        work.tasks.save(task)
    await work.commit()
    untouched = UpdateOperation(old[1].id, {"title": "Old"})
    changed, same = await use_cases.together(actor(), [renamed(old[0].id), untouched])
    assert (changed.task.display_id, changed.task.version) == (21, 2)
    assert (same.task.display_id, same.task.version) == (None, 1)
    assert await use_cases.task(old[0].id) == changed.task


async def test_a_lineage_that_is_too_deep_is_refused(use_cases: UseCases) -> None:
    work = use_cases.plain(actor())
    for number in range(PARENT_DEPTH_MAX + 1):
        parent = None if number == 0 else numbered_id(0xA00 + number - 1)
        changes = TaskChanges(title="Deep", parent_id=parent)
        work.tasks.save(Task.create(numbered_id(0xA00 + number), Stamp(NOON, ANNA), changes))
    await work.commit()
    deepest = numbered_id(0xA00 + PARENT_DEPTH_MAX)
    with pytest.raises(RuleBroken) as refusal:
        await use_cases.together(actor(), [new(parent_id=deepest)])
    assert refusal.value.violations[0].pointer == "/operations/0/parentId"
