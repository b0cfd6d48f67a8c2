"""A process that dies between a change and what follows it leaves nothing half done for long."""

from functools import partial

import pytest

from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from application.actor import system_actor
from application.ports.clock import Clock
from application.projects.commands import (
    CreateProject,
    DeleteProject,
    EditProject,
    FinishProjects,
    RestoreProject,
)
from application.tasks.commands import CreateTask
from application.teams.members import FinishLeavings, RemoveMember
from domain.task import Task
from tests.unit.application.team_fixture import TeamFixture
from tests.unit.builders import BEN, NOON, NUMBERS, actor, numbered_id
from tests.unit.faults import FaultyStore, Moment, Step, open_gate
from tests.unit.memory_store import MemoryRecordStore

BEFORE_COMMIT = Step("memory", "commit", Moment.BEFORE)
FINISHER = system_actor("finishing")


class Died(BaseException):
    """What no use case survives."""


class TeamProject:
    """A project of which a task slips in right before a change of it is committed; what would follow is cut off."""

    def __init__(self, memory: MemoryRecordStore, clock: Clock) -> None:
        self.commits, self.late_task_id = 0, ""
        identifiers = SortableIdentifiers()
        self.begin = partial(StoredUnitOfWork, memory, identifiers)
        cut_off = partial(StoredUnitOfWork, FaultyStore(memory, self._gate), identifiers)
        self.make, self.add = (
            CreateProject(self.begin, clock, identifiers),
            CreateTask(self.begin, clock, identifiers, NUMBERS),
        )
        self.restore, self.finish = RestoreProject(self.begin, clock), FinishProjects(self.begin, clock)
        self.edit, self.delete = EditProject(cut_off, clock), DeleteProject(cut_off, clock)
        self.project_id = ""

    async def open(self) -> None:
        self.project_id = (await self.make(actor(), {"name": "Garden"})).id
        await self.add(actor(), {"title": "early", "project_id": self.project_id})

    async def late_task(self) -> Task:
        return await self.begin(FINISHER).tasks.get(self.late_task_id)

    async def _gate(self, step: Step) -> None:
        await open_gate(step)
        if step != BEFORE_COMMIT:
            return
        self.commits += 1
        if self.commits > 1:
            raise Died
        self.late_task_id = (await self.add(actor(), {"title": "late", "project_id": self.project_id})).id


@pytest.fixture
async def garden(house: TeamFixture) -> TeamProject:
    made = TeamProject(house.memory, house.clock)
    await made.open()
    return made


async def test_a_task_that_was_cut_off_from_a_project_in_other_hands_follows_it(garden: Garden) -> None:
    with pytest.raises(Died):
        await garden.edit(actor(), garden.project_id, {"owner_id": BEN}, expected_version=None)
    assert (await garden.late_task()).owner_id != BEN

    await garden.finish(FINISHER, since=NOON)

    assert (await garden.late_task()).owner_id == BEN
    finished = await garden.late_task()
    await garden.finish(FINISHER, since=NOON)
    assert await garden.late_task() == finished


async def test_a_task_that_was_cut_off_from_a_project_in_the_trash_goes_and_comes_back_with_it(
    garden: Garden,
) -> None:
    with pytest.raises(Died):
        await garden.delete(actor(), garden.project_id, expected_version=None)
    assert not (await garden.late_task()).is_deleted

    await garden.finish(FINISHER, since=NOON)
    assert (await garden.late_task()).is_deleted

    await garden.restore(actor(), garden.project_id, expected_version=None)
    assert not (await garden.late_task()).is_deleted


LATE_TASK = numbered_id(81)


async def test_what_somebody_took_over_while_he_left_is_handed_back_after_a_crash(house: TeamFixture) -> None:
    team = await house.team(BEN)
    commits = 0

    async def gate(step: Step) -> None:
        nonlocal commits
        await open_gate(step)
        if step == BEFORE_COMMIT:
            commits += 1
            if commits > 1:
                raise Died
            await house.taken_task(LATE_TASK, team, BEN)

    cut_off = partial(StoredUnitOfWork, FaultyStore(house.memory, gate), SortableIdentifiers())
    with pytest.raises(Died):
        await RemoveMember(cut_off, house.clock)(actor(), team.id, BEN)
    assert await house.executors(LATE_TASK) == (BEN, BEN)

    finish = FinishLeavings(house.now.begin, house.clock)
    await finish(FINISHER, since=NOON)
    assert await house.executors(LATE_TASK) == (None, None)
    handed_back = await house.now.begin(FINISHER).tasks.get(LATE_TASK)
    await finish(FINISHER, since=NOON)
    assert await house.now.begin(FINISHER).tasks.get(LATE_TASK) == handed_back


async def test_who_came_back_meanwhile_and_who_is_in_the_trash_with_his_team_keep_what_they_do(
    house: TeamFixture,
) -> None:
    team, trashed = await house.team(BEN), await house.team(BEN)
    await house.now.remove(actor(), team.id, BEN)
    await house.now.add(actor(), team.id, [BEN])
    await house.taken_task(LATE_TASK, team, BEN)
    await house.taken_task(numbered_id(82), trashed, BEN)
    await house.now.delete(actor(), trashed.id, expected_version=None)

    await FinishLeavings(house.now.begin, house.clock)(FINISHER, since=NOON)

    assert await house.executors(LATE_TASK) == (BEN, BEN)
    assert await house.executors(numbered_id(82)) == (BEN, BEN)
