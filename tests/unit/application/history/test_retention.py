"""Entities that were in the trash for too long are purged with their dependent records."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from adapters.records.change_set import ChangeSet, Put
from adapters.records.record import IS_ERASED, is_tombstone
from adapters.records.specs import TASKS
from adapters.repositories.retention_runs import StoredRetentionRuns
from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from application.history.removal import PARTS_MAX
from application.history.retention import PurgeExpired, ReadRetention
from application.paging import PageRequest, Sort
from application.ports.repositories import AuditFilter
from application.ports.unit_of_work import UnitOfWork
from application.projects.commands import CreateProject, DeleteProject, RestoreProject, RollBackProject
from application.projects.timelines import RollBackTimeline, SaveTimeline
from application.tasks.commands import RestoreTask
from application.teams.commands import DeleteTeam, RestoreTeam
from domain.assignment import Assignee, AssigneeType, TaskAssignment
from domain.audit import Action
from domain.entity import Entity, Stamp
from domain.errors import Conflict, Forbidden, NotFound, Purged, RuleBroken
from domain.label import Label
from domain.project import Project
from domain.session import Session
from domain.task import Origin, Task
from domain.team import Membership, Team
from domain.timeline import Plan, TimelineItem
from domain.watch import Watch
from tests.unit.builders import ANNA, BEN, NOON, NUMBERS, actor, label, numbered_id, project, task
from tests.unit.faults import FaultyStore, Moment, Step, open_gate
from tests.unit.memory_store import MemoryRecordStore

DAYS = 30
BEFORE_COMMIT = Step("memory", "commit", Moment.BEFORE)
Interruption = Callable[[], Awaitable[Any]]


class SettableClock:
    """The port Clock: noon, a number of days later."""

    def __init__(self) -> None:
        self.days = 0.0

    def now(self) -> datetime:
        return NOON + timedelta(days=self.days)


class World:
    """A store and its retention; `interruption` runs before the next commit of a purge."""

    def __init__(self) -> None:
        self.store, identifiers = MemoryRecordStore(), SortableIdentifiers()
        self.clock = SettableClock()
        self.interruption: Interruption | None = None
        self.commits = 0
        self.begin = partial(StoredUnitOfWork, self.store, identifiers)
        interrupted = partial(StoredUnitOfWork, FaultyStore(self.store, self._gate), identifiers)
        runs = StoredRetentionRuns(self.store)
        self.purge = PurgeExpired(interrupted, self.clock, runs, DAYS)
        self.status = ReadRetention(self.begin, self.clock, runs, DAYS)
        self.new_project = CreateProject(self.begin, self.clock, identifiers)
        self.delete_project = DeleteProject(self.begin, self.clock)
        self.restore_project = RestoreProject(self.begin, self.clock)
        self.save_plan = SaveTimeline(self.begin, self.clock)

    @property
    def work(self) -> UnitOfWork:
        return self.begin(actor())

    async def keep(self, **things: list[Any]) -> None:
        """Stores version 1 of these entities, by the repository's name."""
        work = self.work
        for name, entities in things.items():
            for entity in entities:
                getattr(work, name).save(entity)
        await work.commit()

    async def trash(self, name: str, *ids: str) -> None:
        """Moves entities to the trash now."""
        work = self.work
        for id_ in ids:
            thing: Entity = await getattr(work, name).get(id_)
            getattr(work, name).save(thing.delete(Stamp(self.clock.now(), ANNA)))
        await work.commit()

    async def left(self, collection: str) -> dict[str, bool]:
        """Whether each record of a collection is a tombstone, by id."""
        found = await self.store.scan(collection, after=None, limit=5_000)
        return {record["id"]: is_tombstone(record) for record in found}

    async def _gate(self, step: Step) -> None:
        await open_gate(step)
        if step != BEFORE_COMMIT:
            return
        self.commits += 1
        if self.interruption is not None:
            interruption, self.interruption = self.interruption, None
            await interruption()


@pytest.fixture
def world() -> World:
    return World()


def in_project(number: int, id: str) -> Task:
    return task(number, changes={"project_id": id})


async def _garden(world: World, *, tasks: int = 2) -> Project:
    garden = await world.new_project(actor(), {"name": "Garden"})
    await world.keep(tasks=[in_project(number + 1, garden.id) for number in range(tasks)])
    await world.save_plan(actor(), garden.id, Plan(items=(TimelineItem(id="a"),)), expected_version=None)
    return garden


async def test_what_is_not_old_enough_stays(world: World) -> None:
    await world.keep(tasks=[task(1), task(2)])
    await world.trash("tasks", numbered_id(1))
    world.clock.days = DAYS
    run = await world.purge(actor(admin=True))
    assert (dict(run.removed), run.is_complete, world.commits) == ({}, True, 0)
    assert await world.left("tasks") == {numbered_id(1): False, numbered_id(2): False}


async def test_the_time_in_the_trash_of_another_service_does_not_count(world: World) -> None:
    elsewhere = replace(
        task(1), is_deleted=True, deleted_at=NOON - timedelta(days=900), updated_at=NOON - timedelta(days=900)
    )
    record = TASKS.mapping.to_record(elsewhere)
    await world.store.commit(ChangeSet(puts=(Put("tasks", record, expected_version=0),)))

    first = await world.purge(actor(admin=True))
    world.clock.days = DAYS
    almost = await world.purge(actor(admin=True))
    kept = await world.left("tasks")
    world.clock.days = DAYS + 1
    last = await world.purge(actor(admin=True))

    assert (dict(first.removed), first.kept, dict(almost.removed)) == ({}, 1, {})
    assert kept == {numbered_id(1): False}
    assert last.removed == {"tasks": 1}


async def test_an_imported_tombstone_has_its_full_time_in_the_trash(world: World) -> None:
    origin = Origin(external_key="beads:x:1", created_at=NOON - timedelta(days=900), is_deleted=True)
    tombstone = Task.imported(numbered_id(1), Stamp(NOON, ANNA), {"title": "Dig"}, origin=origin)
    work = world.work
    work.tasks.save(tombstone, action=Action.IMPORTED)
    await work.commit()

    world.clock.days = DAYS
    early = await world.purge(actor(admin=True))
    world.clock.days = DAYS + 1
    due = await world.purge(actor(admin=True))

    assert (dict(early.removed), dict(due.removed)) == ({}, {"tasks": 1})


async def test_a_project_goes_with_its_tasks_timeline_assignments_and_watches(world: World) -> None:
    garden = await _garden(world)
    one = numbered_id(1)
    noon = Stamp(NOON, ANNA)
    given = TaskAssignment.create(
        numbered_id(50), noon, task_id=one, assignee=Assignee(BEN, AssigneeType.USER)
    )
    watch = Watch.create(noon, user_id=BEN, task_id=one)
    await world.keep(assignments=[given], watches=[watch], tasks=[task(9)])
    await world.delete_project(actor(), garden.id, expected_version=None)
    world.clock.days = DAYS + 1
    run = await world.purge(actor(admin=True))
    assert run.removed == {
        "projects": 1,
        "timelines": 1,
        "tasks": 2,
        "task_assignments": 1,
        "watchlists": 1,
    }
    assert await world.left("projects") == {garden.id: True}
    assert await world.left("timelines") == {garden.id: True}
    assert await world.left("tasks") == {one: True, numbered_id(2): True, numbered_id(9): False}
    assert await world.left("task_assignments") == {given.id: True}
    assert await world.left("watchlists") == {watch.id: True}
    with pytest.raises(Purged):
        await world.restore_project(actor(), garden.id, expected_version=None)


async def test_a_removal_is_one_change_set_whose_entries_repeat_nothing(world: World) -> None:
    garden = await _garden(world)
    await world.delete_project(actor(), garden.id, expected_version=None)
    world.clock.days = DAYS + 1
    await world.purge(actor(admin=True, request_id="retention-1"))
    newest = PageRequest(sort=Sort("at", descending=True), limit=100)
    entries = (await world.work.audit.matching(AuditFilter(action=Action.PURGED), newest)).items
    assert {(entry.collection, entry.version) for entry in entries} == {
        ("projects", 3),
        ("timelines", 3),
        ("tasks", 3),
    }
    assert {(len(entry.changes), entry.request_id) for entry in entries} == {(0, "retention-1")}
    assert len({entry.change_set_id for entry in entries}) == 1
    records = await world.store.fetch("projects", [garden.id])
    assert records[garden.id] == {"id": garden.id, "version": 3, "isDeleted": True, IS_ERASED: True}


async def test_a_large_project_goes_in_bounded_change_sets_and_nobody_restores_what_is_left(
    world: World,
) -> None:
    count = PARTS_MAX * 2 + 3
    garden = await _garden(world, tasks=count)
    await world.delete_project(actor(), garden.id, expected_version=None)
    world.clock.days = DAYS + 1

    async def killed() -> None:
        raise ConnectionError("the process dies")

    async def dies_later() -> None:
        world.interruption = killed

    world.interruption = dies_later
    with pytest.raises(ConnectionError):
        await world.purge(actor(admin=True))
    assert sum((await world.left("tasks")).values()) == PARTS_MAX
    assert await world.left("projects") == {garden.id: True}
    with pytest.raises(Purged):
        await world.restore_project(actor(), garden.id, expected_version=None)
    rest = next(id_ for id_, is_gone in (await world.left("tasks")).items() if not is_gone)
    with pytest.raises(Conflict):
        await RestoreTask(world.begin, world.clock, NUMBERS)(actor(), rest, expected_version=None)
    run = await world.purge(actor(admin=True))
    assert run.removed == {"tasks": count - PARTS_MAX}
    assert set((await world.left("tasks")).values()) == {True}


async def test_what_is_restored_in_the_same_moment_stays(world: World) -> None:
    garden = await _garden(world)
    await world.delete_project(actor(), garden.id, expected_version=None)
    world.clock.days = DAYS + 1
    world.interruption = lambda: world.restore_project(actor(), garden.id, expected_version=None)
    run = await world.purge(actor(admin=True))
    assert (dict(run.removed), run.kept) == ({}, 1)
    assert not (await world.work.projects.get(garden.id)).is_deleted
    assert set((await world.left("tasks")).values()) == {False}


async def test_one_reassigned_task_does_not_prevent_the_purge_of_others(world: World) -> None:
    await world.keep(tasks=[task(number) for number in (1, 2, 3)])
    await world.trash("tasks", *map(numbered_id, (1, 2, 3)))
    world.clock.days = DAYS + 1
    world.interruption = partial(_restored, world, "tasks", numbered_id(2))
    run = await world.purge(actor(admin=True))
    assert (dict(run.removed), run.kept) == ({"tasks": 2}, 0)
    assert await world.left("tasks") == {numbered_id(1): True, numbered_id(2): False, numbered_id(3): True}


async def test_two_workers_at_once_remove_everything_once(world: World) -> None:
    await world.keep(tasks=[task(number) for number in range(1, 6)])
    await world.trash("tasks", *map(numbered_id, range(1, 6)))
    world.clock.days = DAYS + 1
    other = PurgeExpired(world.begin, world.clock, StoredRetentionRuns(world.store), DAYS)
    world.interruption = lambda: other(actor(admin=True))
    run = await world.purge(actor(admin=True))
    assert (dict(run.removed), run.kept) == ({}, 0)
    newest = PageRequest(sort=Sort("at"), limit=100)
    entries = (await world.work.audit.matching(AuditFilter(action=Action.PURGED), newest)).items
    assert sorted(entry.entity_id for entry in entries) == [*map(numbered_id, range(1, 6))]


async def test_tasks_lose_a_label_and_a_parent_that_are_gone(world: World) -> None:
    red = label(20, name="red")
    carrier = task(1, changes={"label_ids": (red.id, numbered_id(21)), "parent_id": numbered_id(2)})
    await world.keep(labels=[red, label(21, name="blue")], tasks=[task(2), carrier])
    await world.trash("labels", red.id)
    await world.trash("tasks", numbered_id(2))
    world.clock.days = DAYS + 1
    run = await world.purge(actor(admin=True))
    assert (dict(run.removed), run.detached) == ({"labels": 1, "tasks": 1}, 2)
    left = await world.work.tasks.get(carrier.id)
    assert (left.label_ids, left.parent_id, left.version) == ((numbered_id(21),), None, 3)


async def test_a_label_on_many_tasks_leaves_them_in_bounded_change_sets(world: World) -> None:
    red, count = label(1, name="red"), PARTS_MAX + 5
    carriers = [task(number, changes={"label_ids": (red.id,)}) for number in range(10, 10 + count)]
    await world.keep(labels=[red], tasks=carriers)
    await world.trash("labels", red.id)
    world.clock.days = DAYS + 1
    run = await world.purge(actor(admin=True))
    assert (dict(run.removed), run.detached, world.commits) == ({"labels": 1}, count, 2)
    assert not await world.work.tasks.carrying(red.id, limit=1)


async def test_a_label_or_team_restored_in_the_same_moment_stays_on_all_its_tasks(world: World) -> None:
    noon, count = Stamp(NOON, ANNA), PARTS_MAX + 5
    red = label(1, name="red")
    team = Team.create(numbered_id(2), noon, owner_id=ANNA, changes={"name": "Gardeners"})
    tasks = [task(number, changes={"label_ids": (red.id,)}) for number in range(10, 10 + count)]
    given = [replace(one, team_id=team.id) for one in tasks]
    await world.keep(labels=[red], teams=[team], tasks=given)
    for name, id_ in (("labels", red.id), ("teams", team.id)):
        world.clock.days = 0
        await world.trash(name, id_)
        world.clock.days = DAYS + 1
        world.interruption = partial(_restored, world, name, id_)
        run = await world.purge(actor(admin=True))
        assert (dict(run.removed), run.detached, run.kept) == ({}, 0, 1), name
    stored = await world.store.scan("tasks", after=None, limit=5_000)
    assert {(tuple(record["labelIds"]), record["teamId"]) for record in stored} == {((red.id,), team.id)}


async def _restored(world: World, name: str, id_: str) -> None:
    work = world.work
    repository = getattr(work, name)
    repository.save((await repository.get(id_)).restore(Stamp(world.clock.now(), ANNA)))
    await work.commit()


async def test_a_team_leaves_its_projects_to_their_owners_and_its_tasks_to_nobody(world: World) -> None:
    noon = Stamp(NOON, ANNA)
    team = Team.create(numbered_id(30), noon, owner_id=ANNA, changes={"name": "Gardeners"})
    place = Membership.create(noon, team_id=team.id, user_id=ANNA, owns=True)
    garden = Project.create(
        numbered_id(31), noon, owner_id=ANNA, changes={"name": "Garden", "team_id": team.id}
    )
    given = TaskAssignment.create(
        numbered_id(32), noon, task_id=numbered_id(1), assignee=Assignee(team.id, AssigneeType.TEAM)
    )
    await world.keep(
        teams=[team], memberships=[place], projects=[garden], assignments=[given], tasks=[task(1)]
    )
    work = world.work
    work.tasks.save((await work.tasks.get(numbered_id(1))).assigned(noon, given))
    await work.commit()
    await world.trash("teams", team.id)
    world.clock.days = DAYS + 1
    run = await world.purge(actor(admin=True))
    assert (dict(run.removed), run.detached) == ({"teams": 1, "team_members": 1}, 2)
    left = await world.work.tasks.get(numbered_id(1))
    assert (left.assignee, left.executor_id) == (None, None)
    assert await world.work.assignments.of_task(left.id) is None
    assert (await world.work.projects.get(garden.id)).team_id is None


async def test_a_large_team_is_restored_by_nobody_once_its_removal_has_begun(world: World) -> None:
    noon, count = Stamp(NOON, ANNA), PARTS_MAX + 5
    team = Team.create(numbered_id(2), noon, owner_id=ANNA, changes={"name": "Gardeners"})
    place = Membership.create(noon, team_id=team.id, user_id=ANNA, owns=True)
    tasks = [replace(task(number), team_id=team.id) for number in range(10, 10 + count)]
    await world.keep(teams=[team], memberships=[place], tasks=tasks)
    await DeleteTeam(world.begin, world.clock)(actor(), team.id, expected_version=None)
    world.clock.days = DAYS + 1
    restore = RestoreTeam(world.begin, world.clock)
    refusals: list[type[Exception]] = []

    async def try_to_restore() -> None:
        try:
            await restore(actor(), team.id, expected_version=None)
        except Purged as refusal:
            refusals.append(type(refusal))
        world.interruption = try_to_restore

    async def begin_trying() -> None:
        world.interruption = try_to_restore

    world.interruption = begin_trying
    run = await world.purge(actor(admin=True))
    assert dict(run.removed) == {"teams": 1, "team_members": 1}
    assert len(refusals) >= 2
    stored = await world.store.scan("tasks", after=None, limit=5_000)
    assert {record["teamId"] for record in stored} == {None}


async def test_what_went_to_the_trash_with_a_project_that_stays_stays_with_it(world: World) -> None:
    garden = await _garden(world)
    await world.delete_project(actor(), garden.id, expected_version=None)
    work = world.work
    one, *others = await work.tasks.of_project(garden.id)
    work.tasks.save(one.restore(Stamp(NOON, ANNA)))
    await work.commit()
    world.clock.days = DAYS + 1
    run = await world.purge(actor(admin=True))
    assert (dict(run.removed), run.kept) == ({}, 1)
    await world.restore_project(actor(), garden.id, expected_version=None)
    assert {task.id for task in await world.work.tasks.live_in_project(garden.id)} == {
        task.id for task in others
    }


async def test_a_task_left_live_in_a_trashed_project_gets_its_own_time(world: World) -> None:
    garden = await _garden(world)
    await world.trash("projects", garden.id)
    world.clock.days = DAYS + 1
    run = await world.purge(actor(admin=True))
    assert (dict(run.removed), run.kept) == ({}, 1)
    assert (await world.work.tasks.get(numbered_id(1))).deleted_at == world.clock.now()
    world.clock.days = 2 * DAYS + 2
    assert (await world.purge(actor(admin=True))).removed == {"projects": 1, "timelines": 1, "tasks": 2}


async def test_sessions_go_once_nobody_can_refresh_them(world: World) -> None:
    noon = Stamp(NOON, ANNA)
    made = [
        Session.create(
            numbered_id(number),
            noon,
            user_id=ANNA,
            token_hash="h" * 64,
            expires_at=NOON + timedelta(days=days),
        )
        for number, days in ((1, 7), (2, 9))
    ]
    await world.keep(sessions=made)
    world.clock.days = 8
    assert (await world.purge(actor(admin=True))).removed == {"sessions": 1}
    assert await world.left("sessions") == {made[0].id: True, made[1].id: False}


async def test_a_dry_run_counts_and_removes_nothing(world: World) -> None:
    garden = await _garden(world)
    await world.delete_project(actor(), garden.id, expected_version=None)
    world.clock.days = DAYS + 1
    run = await world.purge(actor(admin=True), is_dry_run=True)
    assert run.is_dry_run
    assert (run.detached, run.kept) == (None, None)
    assert run.removed == {"projects": 1, "tasks": 2, "labels": 0, "teams": 0, "sessions": 0, "api_tokens": 0}
    assert (world.commits, await world.left("projects")) == (0, {garden.id: False})


async def test_the_last_run_is_remembered(world: World) -> None:
    assert (await world.status(actor(admin=True))).last_run is None
    await world.keep(tasks=[task(1)])
    await world.trash("tasks", numbered_id(1))
    world.clock.days = DAYS + 1
    assert (await world.status(actor(admin=True))).expired["tasks"] == 1
    run = await world.purge(actor(admin=True))
    status = await world.status(actor(admin=True))
    assert (status.last_run, status.expired["tasks"]) == (run, 0)


async def test_only_administrators_remove(world: World) -> None:
    with pytest.raises(Forbidden):
        await world.purge(actor())
    with pytest.raises(Forbidden):
        await world.status(actor())


async def test_a_roll_back_to_what_is_gone_is_refused_by_name(world: World) -> None:
    garden = await _garden(world, tasks=1)
    one = numbered_id(1)
    team = Team.create(numbered_id(30), Stamp(NOON, ANNA), owner_id=ANNA, changes={"name": "Gardeners"})
    elsewhere = project(31, name="Shed")
    await world.keep(teams=[team], projects=[elsewhere])
    work = world.work
    shed = await work.projects.get(elsewhere.id)
    moved = shed.edit(Stamp(NOON, ANNA), {"team_id": team.id})
    work.projects.save(moved)
    await work.commit()
    planned = Plan(items=(TimelineItem(id="a"), TimelineItem(id="b", task_id=one)))
    await world.save_plan(actor(), garden.id, planned, expected_version=None)
    await world.save_plan(actor(), garden.id, Plan(items=(TimelineItem(id="c"),)), expected_version=None)
    await world.trash("tasks", one)
    await world.trash("teams", team.id)
    world.clock.days = DAYS + 1
    await world.purge(actor(admin=True))
    before = await world.store.scan("audit_logs", after=None, limit=5_000)

    with pytest.raises(RuleBroken) as refusal:
        await RollBackTimeline(world.begin, world.clock)(actor(), garden.id, version=2, expected_version=None)
    assert [(fault.pointer, fault.message) for fault in refusal.value.violations] == [
        ("/items/1/taskId", "was permanently removed")
    ]
    with pytest.raises(RuleBroken) as refusal:
        await RollBackProject(world.begin, world.clock)(
            actor(), elsewhere.id, version=2, expected_version=None
        )
    assert [(fault.pointer, fault.message) for fault in refusal.value.violations] == [
        ("/teamId", "was permanently removed")
    ]
    assert await world.store.scan("audit_logs", after=None, limit=5_000) == before


async def test_what_is_gone_has_no_versions_any_more(world: World) -> None:
    await world.keep(labels=[Label.create(numbered_id(1), Stamp(NOON, ANNA), {"name": "red"})])
    await world.trash("labels", numbered_id(1))
    world.clock.days = DAYS + 1
    await world.purge(actor(admin=True))
    for version in (1, 2, 3):
        with pytest.raises(Purged):
            await world.work.labels.at_version(numbered_id(1), version)
    with pytest.raises(NotFound):
        await world.work.labels.at_version(numbered_id(1), 4)
