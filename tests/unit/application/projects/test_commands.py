import pytest

from application.paging import PageRequest, Sort
from application.ports.clock import Clock
from application.ports.identifiers import Identifiers
from application.ports.repositories import AuditFilter, ProjectFilter, TaskFilter
from application.ports.unit_of_work import Begin
from application.projects.commands import (
    CreateProject,
    DeleteProject,
    EditProject,
    GetProject,
    ListProjects,
    RestoreProject,
    RollBackProject,
)
from application.projects.timelines import SaveTimeline
from application.tasks.commands import CreateTask, DeleteTask
from domain.audit import Action
from domain.errors import AlreadyExists, Conflict, NotFound, RuleBroken, VersionConflict
from domain.project import Project
from domain.timeline import Plan, TimelineItem
from tests.unit.builders import ANNA, BEN, NUMBERS, actor


@pytest.fixture
def create(begin: Begin, clock: Clock, identifiers: Identifiers) -> CreateProject:
    return CreateProject(begin, clock, identifiers)


async def test_a_created_project_is_there_with_one_entry(create: CreateProject, begin: Begin) -> None:
    made = await create(actor(), {"name": "Garden"})
    assert await GetProject(begin)(actor(), made.id) == made
    entries = (await begin(actor()).audit.matching(AuditFilter(entity_id=made.id), by_time())).items
    assert [(entry.action, entry.version, entry.actor_id) for entry in entries] == [(Action.CREATED, 1, ANNA)]
    assert entries[0].changes["name"] == {"before": None, "after": "Garden"}


def by_time() -> PageRequest:
    return PageRequest(sort=Sort("at", descending=True))


async def test_a_stranger_does_not_learn_that_a_project_exists(create: CreateProject, begin: Begin) -> None:
    made = await create(actor(), {"name": "Garden"})
    with pytest.raises(NotFound):
        await GetProject(begin)(actor(BEN), made.id)
    assert await GetProject(begin)(actor(BEN, admin=True), made.id) == made


async def test_a_stale_edit_changes_nothing(create: CreateProject, begin: Begin, clock: Clock) -> None:
    made = await create(actor(), {"name": "Garden"})
    edit = EditProject(begin, clock)
    await edit(actor(), made.id, {"name": "Orchard"}, expected_version=1)
    with pytest.raises(VersionConflict) as refusal:
        await edit(actor(), made.id, {"name": "Lost"}, expected_version=1)
    assert refusal.value.current_version == 2
    stored = await GetProject(begin)(actor(), made.id)
    assert (stored.name, stored.version) == ("Orchard", 2)


async def test_an_edit_that_changes_nothing_leaves_no_trace(
    create: CreateProject, begin: Begin, clock: Clock
) -> None:
    made = await create(actor(), {"name": "Garden"})
    await EditProject(begin, clock)(actor(), made.id, {"name": "Garden"}, expected_version=None)
    entries = (await begin(actor()).audit.matching(AuditFilter(entity_id=made.id), by_time())).items
    assert len(entries) == 1
    assert await GetProject(begin)(actor(), made.id) == made


async def test_a_live_name_is_taken_and_a_trashed_one_is_free(
    create: CreateProject, begin: Begin, clock: Clock
) -> None:
    made = await create(actor(), {"name": "Garden"})
    with pytest.raises(AlreadyExists) as refusal:
        await create(actor(), {"name": "Garden"})
    assert set(refusal.value.fields) == {"ownerId", "name"}
    await create(actor(BEN), {"name": "Garden"})
    await DeleteProject(begin, clock)(actor(), made.id, expected_version=None)
    second = await create(actor(), {"name": "Garden"})
    with pytest.raises(AlreadyExists):
        await RestoreProject(begin, clock)(actor(), made.id, expected_version=None)
    assert (await GetProject(begin)(actor(), second.id)).name == "Garden"
    assert (await GetProject(begin)(actor(), made.id)).is_deleted


async def test_a_project_goes_to_the_trash_and_comes_back_with_exactly_what_went_with_it(
    create: CreateProject, begin: Begin, clock: Clock, identifiers: Identifiers
) -> None:
    garden = await create(actor(), {"name": "Garden"})
    new_task = CreateTask(begin, clock, identifiers, NUMBERS)
    kept = await new_task(actor(), {"title": "Pond", "project_id": garden.id})
    gone = await new_task(actor(), {"title": "Fence", "project_id": garden.id})
    await DeleteTask(begin, clock, NUMBERS)(actor(), gone.id, expected_version=None)
    plan = Plan(items=(TimelineItem(id="a"),))
    await SaveTimeline(begin, clock)(actor(), garden.id, plan, expected_version=None)

    await DeleteProject(begin, clock)(actor(), garden.id, expected_version=None)
    work = begin(actor())
    assert (await work.tasks.get(kept.id)).is_deleted
    assert (await work.timelines.get(garden.id)).is_deleted

    await RestoreProject(begin, clock)(actor(), garden.id, expected_version=None)
    work = begin(actor())
    assert not (await work.tasks.get(kept.id)).is_deleted
    assert not (await work.timelines.get(garden.id)).is_deleted
    assert (await work.tasks.get(gone.id)).is_deleted


async def test_deleting_a_project_is_one_change_set(
    create: CreateProject, begin: Begin, clock: Clock, identifiers: Identifiers
) -> None:
    garden = await create(actor(), {"name": "Garden"})
    await CreateTask(begin, clock, identifiers, NUMBERS)(actor(), {"title": "Pond", "project_id": garden.id})
    await DeleteProject(begin, clock)(actor(), garden.id, expected_version=None)
    wanted = AuditFilter(action=Action.DELETED)
    entries = (await begin(actor()).audit.matching(wanted, by_time())).items
    assert {entry.collection for entry in entries} == {"projects", "tasks"}
    assert len({entry.change_set_id for entry in entries}) == 1


async def test_versions_come_back_one_by_one(create: CreateProject, begin: Begin, clock: Clock) -> None:
    states = [await create(actor(), {"name": "Garden 1"})]
    edit = EditProject(begin, clock)
    for number in range(2, 8):
        changed = {"name": f"Garden {number}", "description": "odd" if number % 2 else None}
        states.append(await edit(actor(), states[0].id, changed, expected_version=None))  # type: ignore[arg-type]
    for state in states:
        assert await GetProject(begin)(actor(), state.id, version=state.version) == state
    for never in (0, 8):
        with pytest.raises(NotFound):
            await GetProject(begin)(actor(), states[0].id, version=never)


async def test_a_roll_back_is_a_new_version_that_says_so(
    create: CreateProject, begin: Begin, clock: Clock
) -> None:
    made = await create(actor(), {"name": "Garden"})
    await EditProject(begin, clock)(actor(), made.id, {"name": "Orchard"}, expected_version=None)
    back = await RollBackProject(begin, clock)(actor(), made.id, version=1, expected_version=2)
    assert (back.name, back.version) == ("Garden", 3)
    entry = await begin(actor()).audit.of_version("projects", made.id, 3)
    assert entry is not None
    assert entry.action is Action.ROLLED_BACK


async def test_an_owner_must_exist(create: CreateProject, begin: Begin, clock: Clock) -> None:
    made = await create(actor(), {"name": "Garden"})
    with pytest.raises(RuleBroken) as refusal:
        await EditProject(begin, clock)(actor(), made.id, {"owner_id": BEN}, expected_version=None)
    assert refusal.value.violations[0].pointer == "/ownerId"


async def test_lists_end_and_repeat_nothing(create: CreateProject, begin: Begin) -> None:
    made = [await create(actor(), {"name": f"Garden {number}"}) for number in range(7)]
    await create(actor(BEN), {"name": "Not mine"})
    seen: list[Project] = []
    page = PageRequest(limit=3, with_total=True)
    while True:
        answer = await ListProjects(begin)(actor(), ProjectFilter(), page)
        assert answer.total == 7
        seen += answer.items
        if answer.next is None:
            break
        page = PageRequest(limit=3, after=answer.next, with_total=True)
    assert seen == made[::-1]


async def test_what_is_in_the_trash_is_listed_there_only(
    create: CreateProject, begin: Begin, clock: Clock
) -> None:
    made = await create(actor(), {"name": "Garden"})
    await DeleteProject(begin, clock)(actor(), made.id, expected_version=None)
    listing = ListProjects(begin)
    assert not (await listing(actor(), ProjectFilter(), PageRequest())).items
    trash = await listing(actor(), ProjectFilter(deleted=True), PageRequest())
    assert [project.id for project in trash.items] == [made.id]
    with pytest.raises(Conflict):
        await EditProject(begin, clock)(actor(), made.id, {"name": "Orchard"}, expected_version=None)


async def test_a_task_filter_by_text_finds_whole_words(
    create: CreateProject, begin: Begin, clock: Clock, identifiers: Identifiers
) -> None:
    new_task = CreateTask(begin, clock, identifiers, NUMBERS)
    pond = await new_task(actor(), {"title": "Dig the pond", "description": "Two metres"})
    await new_task(actor(), {"title": "Ponder"})
    found = await begin(actor()).tasks.matching(TaskFilter(text="POND dig"), PageRequest())
    assert [task.id for task in found.items] == [pond.id]
