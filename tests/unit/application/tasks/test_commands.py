import asyncio
from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from adapters.records.record_store import RecordStore
from adapters.repositories.display_numbers import StoredDisplayNumbers
from adapters.repositories.unit_of_work import StoredUnitOfWork
from application.labels import CreateLabel, DeleteLabel
from application.paging import PageRequest
from application.ports.clock import Clock
from application.ports.identifiers import Identifiers
from application.ports.repositories import TaskFilter
from application.ports.unit_of_work import Begin
from application.projects.commands import CreateProject, DeleteProject
from application.tasks.commands import CreateTask, DeferTask, DeleteTask, EditTask, RestoreTask, RollBackTask
from application.tasks.reading import GetTask, ListTasks
from domain.errors import Conflict, NotFound, RuleBroken, TandemError
from domain.task import TaskChanges, TaskStatus
from tests.unit.builders import BEN, NOON, NUMBERS, actor, numbered_id
from tests.unit.builders import task as unnumbered
from tests.unit.faults import FaultyStore
from tests.unit.memory_store import MemoryRecordStore


@pytest.fixture
def create(begin: Begin, clock: Clock, identifiers: Identifiers) -> CreateTask:
    return CreateTask(begin, clock, identifiers, NUMBERS)


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"title": "x", "project_id": numbered_id(1)}, "/projectId"),
        ({"title": "x", "parent_id": numbered_id(1)}, "/parentId"),
        ({"title": "x", "label_ids": (numbered_id(1),)}, "/labelIds/0"),
    ],
)
async def test_a_reference_to_nothing_is_refused_and_nothing_is_stored(
    create: CreateTask, begin: Begin, changes: TaskChanges, pointer: str
) -> None:
    with pytest.raises(RuleBroken) as refusal:
        await create(actor(), changes)
    assert [fault.pointer for fault in refusal.value.violations] == [pointer]
    assert not (await begin(actor()).tasks.matching(TaskFilter(), PageRequest())).items


async def test_a_task_cannot_join_a_strangers_project(
    create: CreateTask, begin: Begin, clock: Clock, identifiers: Identifiers
) -> None:
    garden = await CreateProject(begin, clock, identifiers)(actor(), {"name": "Garden"})
    with pytest.raises(RuleBroken):
        await create(actor(BEN), {"title": "Sneak in", "project_id": garden.id})


async def test_a_task_cannot_become_its_own_ancestor(create: CreateTask, begin: Begin, clock: Clock) -> None:
    top = await create(actor(), {"title": "Top"})
    middle = await create(actor(), {"title": "Middle", "parent_id": top.id})
    bottom = await create(actor(), {"title": "Bottom", "parent_id": middle.id})
    with pytest.raises(RuleBroken) as refusal:
        await EditTask(begin, clock, NUMBERS)(
            actor(), top.id, {"parent_id": bottom.id}, expected_version=None
        )
    assert refusal.value.violations[0].pointer == "/parentId"
    assert (await GetTask(begin, clock)(actor(), top.id)).task.parent_id is None


async def test_a_project_owner_sees_every_task_and_a_creator_only_while_the_project_is_visible(
    create: CreateTask, begin: Begin, clock: Clock, identifiers: Identifiers
) -> None:
    garden = await CreateProject(begin, clock, identifiers)(actor(), {"name": "Garden"})
    mine = await create(actor(), {"title": "Mine", "project_id": garden.id})
    admins = await create(actor(admin=True), {"title": "Admin's", "project_id": garden.id})
    listing = ListTasks(begin, clock)
    in_garden = TaskFilter(project_ids=(garden.id,))
    seen = {task.id for task in (await listing(actor(), in_garden, PageRequest())).items}
    assert seen == {mine.id, admins.id}
    assert not (await listing(actor(BEN), in_garden, PageRequest())).items
    with pytest.raises(NotFound):
        await GetTask(begin, clock)(actor(BEN), mine.id)


async def test_a_trashed_label_stays_on_its_tasks_and_joins_no_new_one(
    create: CreateTask, begin: Begin, clock: Clock, identifiers: Identifiers
) -> None:
    urgent = await CreateLabel(begin, clock, identifiers)(actor(), {"name": "urgent"})
    labelled = await create(actor(), {"title": "Pond", "label_ids": (urgent.id,)})
    await DeleteLabel(begin, clock)(actor(), urgent.id, expected_version=None)
    assert (await GetTask(begin, clock)(actor(), labelled.id)).task.label_ids == (urgent.id,)
    with pytest.raises(RuleBroken):
        await create(actor(), {"title": "Fence", "label_ids": (urgent.id,)})


async def test_a_task_stays_in_the_trash_as_long_as_its_project(
    create: CreateTask, begin: Begin, clock: Clock, identifiers: Identifiers
) -> None:
    garden = await CreateProject(begin, clock, identifiers)(actor(), {"name": "Garden"})
    pond = await create(actor(), {"title": "Pond", "project_id": garden.id})
    await DeleteProject(begin, clock)(actor(), garden.id, expected_version=None)
    with pytest.raises(Conflict):
        await RestoreTask(begin, clock, NUMBERS)(actor(), pond.id, expected_version=None)
    assert (await GetTask(begin, clock)(actor(), pond.id)).task.is_deleted


async def test_rolling_back_to_a_label_that_is_gone_is_refused_with_its_place(
    create: CreateTask, begin: Begin, clock: Clock, identifiers: Identifiers
) -> None:
    urgent = await CreateLabel(begin, clock, identifiers)(actor(), {"name": "urgent"})
    pond = await create(actor(), {"title": "Pond", "label_ids": (urgent.id,)})
    await EditTask(begin, clock, NUMBERS)(actor(), pond.id, {"label_ids": ()}, expected_version=None)
    await DeleteLabel(begin, clock)(actor(), urgent.id, expected_version=None)
    with pytest.raises(RuleBroken) as refusal:
        await RollBackTask(begin, clock, NUMBERS)(actor(), pond.id, version=1, expected_version=None)
    assert refusal.value.violations[0].pointer == "/labelIds/0"
    assert (await GetTask(begin, clock)(actor(), pond.id)).version == 2


async def test_filters_narrow_and_combine(create: CreateTask, begin: Begin, clock: Clock) -> None:
    await create(actor(), {"title": "A"})
    done = await create(actor(), {"title": "B"})
    deleted = await create(actor(), {"title": "C"})
    await EditTask(begin, clock, NUMBERS)(actor(), done.id, {"is_acknowledged": True}, expected_version=None)
    await DeleteTask(begin, clock, NUMBERS)(actor(), deleted.id, expected_version=None)
    page = PageRequest(with_total=True)
    live = await ListTasks(begin, clock)(actor(), TaskFilter(), page)
    trashed = await ListTasks(begin, clock)(actor(), TaskFilter(deleted=True), page)
    assert (live.total, trashed.total) == (2, 1)


async def test_a_label_that_went_to_the_trash_hinders_no_other_change(
    create: CreateTask, begin: Begin, clock: Clock, identifiers: Identifiers
) -> None:
    urgent = await CreateLabel(begin, clock, identifiers)(actor(), {"name": "urgent"})
    calm = await CreateLabel(begin, clock, identifiers)(actor(), {"name": "calm"})
    pond = await create(actor(), {"title": "Pond", "label_ids": (urgent.id,)})
    await DeleteLabel(begin, clock)(actor(), urgent.id, expected_version=None)
    both: TaskChanges = {"label_ids": (urgent.id, calm.id)}
    edited = await EditTask(begin, clock, NUMBERS)(actor(), pond.id, both, expected_version=None)
    assert edited.task.label_ids == tuple(sorted((urgent.id, calm.id)))


async def test_a_number_that_some_other_task_has_is_not_given(
    begin: Begin, store: RecordStore, clock: Clock, identifiers: Identifiers
) -> None:
    numbers = StoredDisplayNumbers(store)
    create = CreateTask(begin, clock, identifiers, numbers)
    first = await create(actor(), {"title": "First"})
    work = begin(actor())
    for place in range(40):
        work.tasks.save(replace(unnumbered(place + 1), display_id=place + 2))
    await work.commit()

    made = await create(actor(), {"title": "Second"})

    assert (first.task.display_id, made.task.display_id) == (1, 42)


async def test_a_task_is_put_off_and_taken_up_again(create: CreateTask, begin: Begin, clock: Clock) -> None:
    defer = DeferTask(begin, clock, NUMBERS)
    until = NOON + timedelta(days=30)
    pond = await create(actor(), {"title": "Pond"})
    put_off = await defer(actor(), pond.id, until, expected_version=1)
    assert (put_off.is_deferred, put_off.task.status, put_off.version) == (True, TaskStatus.TODO, 2)
    taken_up = await defer(actor(), pond.id, None, expected_version=2)
    assert (taken_up.is_deferred, taken_up.task.deferred_till) == (False, None)
    with pytest.raises(NotFound):
        await defer(actor(BEN), pond.id, until, expected_version=None)


async def test_a_task_from_before_numbers_gets_one_with_whatever_is_done_to_it(
    begin: Begin, clock: Clock, store: RecordStore
) -> None:
    work = begin(actor())
    for place in range(1, 5):
        work.tasks.save(unnumbered(place))
    await work.commit()
    numbers = StoredDisplayNumbers(store)
    ids = [numbered_id(place) for place in range(1, 5)]

    edited = await EditTask(begin, clock, numbers)(actor(), ids[0], {"title": "x"}, expected_version=1)
    deferred = await DeferTask(begin, clock, numbers)(
        actor(), ids[1], NOON + timedelta(days=30), expected_version=1
    )
    trashed = await DeleteTask(begin, clock, numbers)(actor(), ids[2], expected_version=1)
    restored = await RestoreTask(begin, clock, numbers)(actor(), ids[2], expected_version=2)
    same = await EditTask(begin, clock, numbers)(actor(), ids[3], {}, expected_version=1)

    assert [seen.task.display_id for seen in (edited, deferred, trashed, restored, same)] == [
        1,
        2,
        3,
        3,
        None,
    ]
    assert [seen.version for seen in (edited, deferred, trashed, restored, same)] == [2, 2, 2, 3, 1]


async def test_two_tasks_that_move_under_each_other_at_once_make_no_circle(
    clock: Clock, identifiers: Identifiers
) -> None:
    memory = MemoryRecordStore()
    begin = partial(StoredUnitOfWork, FaultyStore(memory), identifiers)
    create, edit = CreateTask(begin, clock, identifiers, NUMBERS), EditTask(begin, clock, NUMBERS)
    left, right = [await create(actor(), {"title": title}) for title in ("left", "right")]

    outcomes = await asyncio.gather(
        edit(actor(), left.id, {"parent_id": right.id}, expected_version=None),
        edit(actor(), right.id, {"parent_id": left.id}, expected_version=None),
        return_exceptions=True,
    )

    assert any(isinstance(outcome, TandemError) for outcome in outcomes)
    stored = await memory.fetch("tasks", [left.id, right.id])
    assert None in [record["parentId"] for record in stored.values()]
