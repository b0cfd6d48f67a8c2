import pytest

from application.labels import CreateLabel, DeleteLabel
from application.paging import PageRequest
from application.ports.clock import Clock
from application.ports.identifiers import Identifiers
from application.ports.repositories import TaskFilter
from application.ports.unit_of_work import Begin
from application.projects import CreateProject, DeleteProject
from application.tasks import CreateTask, DeleteTask, EditTask, GetTask, ListTasks, RestoreTask, RollBackTask
from domain.errors import Conflict, NotFound, RuleBroken
from domain.task import TaskChanges
from tests.unit.builders import BEN, actor, numbered_id


@pytest.fixture
def create(begin: Begin, clock: Clock, identifiers: Identifiers) -> CreateTask:
    return CreateTask(begin, clock, identifiers)


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
    assert [fault.pointer for fault in refusal.value.faults] == [pointer]
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
        await EditTask(begin, clock)(actor(), top.id, {"parent_id": bottom.id}, expected_version=None)
    assert refusal.value.faults[0].pointer == "/parentId"
    assert (await GetTask(begin)(actor(), top.id)).parent_id is None


async def test_a_project_owner_sees_every_task_in_it_and_others_only_their_own(
    create: CreateTask, begin: Begin, clock: Clock, identifiers: Identifiers
) -> None:
    garden = await CreateProject(begin, clock, identifiers)(actor(), {"name": "Garden"})
    mine = await create(actor(), {"title": "Mine", "project_id": garden.id})
    admins = await create(actor(BEN, admin=True), {"title": "Admin's", "project_id": garden.id})
    listing = ListTasks(begin)
    in_garden = TaskFilter(project_id=garden.id)
    seen = {task.id for task in (await listing(actor(), in_garden, PageRequest())).items}
    assert seen == {mine.id, admins.id}
    assert {task.id for task in (await listing(actor(BEN), in_garden, PageRequest())).items} == {admins.id}
    with pytest.raises(NotFound):
        await GetTask(begin)(actor(BEN), mine.id)


async def test_a_trashed_label_stays_on_its_tasks_and_joins_no_new_one(
    create: CreateTask, begin: Begin, clock: Clock, identifiers: Identifiers
) -> None:
    urgent = await CreateLabel(begin, clock, identifiers)(actor(), {"name": "urgent"})
    labelled = await create(actor(), {"title": "Pond", "label_ids": (urgent.id,)})
    await DeleteLabel(begin, clock)(actor(), urgent.id, expected_version=None)
    assert (await GetTask(begin)(actor(), labelled.id)).label_ids == (urgent.id,)
    with pytest.raises(RuleBroken):
        await create(actor(), {"title": "Fence", "label_ids": (urgent.id,)})


async def test_a_task_stays_in_the_trash_as_long_as_its_project(
    create: CreateTask, begin: Begin, clock: Clock, identifiers: Identifiers
) -> None:
    garden = await CreateProject(begin, clock, identifiers)(actor(), {"name": "Garden"})
    pond = await create(actor(), {"title": "Pond", "project_id": garden.id})
    await DeleteProject(begin, clock)(actor(), garden.id, expected_version=None)
    with pytest.raises(Conflict):
        await RestoreTask(begin, clock)(actor(), pond.id, expected_version=None)
    assert (await GetTask(begin)(actor(), pond.id)).is_deleted


async def test_rolling_back_to_a_label_that_is_gone_is_refused_with_its_place(
    create: CreateTask, begin: Begin, clock: Clock, identifiers: Identifiers
) -> None:
    urgent = await CreateLabel(begin, clock, identifiers)(actor(), {"name": "urgent"})
    pond = await create(actor(), {"title": "Pond", "label_ids": (urgent.id,)})
    await EditTask(begin, clock)(actor(), pond.id, {"label_ids": ()}, expected_version=None)
    await DeleteLabel(begin, clock)(actor(), urgent.id, expected_version=None)
    with pytest.raises(RuleBroken) as refusal:
        await RollBackTask(begin, clock)(actor(), pond.id, version=1, expected_version=None)
    assert refusal.value.faults[0].pointer == "/labelIds/0"
    assert (await GetTask(begin)(actor(), pond.id)).version == 2


async def test_filters_narrow_and_combine(create: CreateTask, begin: Begin, clock: Clock) -> None:
    await create(actor(), {"title": "A"})
    done = await create(actor(), {"title": "B"})
    deleted = await create(actor(), {"title": "C"})
    await EditTask(begin, clock)(actor(), done.id, {"is_acknowledged": True}, expected_version=None)
    await DeleteTask(begin, clock)(actor(), deleted.id, expected_version=None)
    page = PageRequest(with_total=True)
    live = await ListTasks(begin)(actor(), TaskFilter(), page)
    trashed = await ListTasks(begin)(actor(), TaskFilter(deleted=True), page)
    assert (live.total, trashed.total) == (2, 1)
