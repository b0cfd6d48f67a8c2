"""Finishing completes changes whose second change set was interrupted by a crash."""

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
    """The process dies."""


class InterruptedProject:
    """A project that gets a task right before its change is committed; the second change set is interrupted."""

    def __init__(self, memory: MemoryRecordStore, clock: Clock) -> None:
        self.commits, self.added_task_id = 0, ""
        identifiers = SortableIdentifiers()
        self.begin = partial(StoredUnitOfWork, memory, identifiers)
        interrupted = partial(StoredUnitOfWork, FaultyStore(memory, self._gate), identifiers)
        self.make, self.add = (
            CreateProject(self.begin, clock, identifiers),
            CreateTask(self.begin, clock, identifiers, NUMBERS),
        )
        self.restore, self.finish = RestoreProject(self.begin, clock), FinishProjects(self.begin, clock)
        self.edit, self.delete = EditProject(interrupted, clock), DeleteProject(interrupted, clock)
        self.project_id = ""

    async def open(self) -> None:
        self.project_id = (await self.make(actor(), {"name": "Garden"})).id
        await self.add(actor(), {"title": "early", "project_id": self.project_id})

    async def added_task(self) -> Task:
        return await self.begin(FINISHER).tasks.get(self.added_task_id)

    async def _gate(self, step: Step) -> None:
        await open_gate(step)
        if step != BEFORE_COMMIT:
            return
        self.commits += 1
        if self.commits > 1:
            raise Died
        self.added_task_id = (await self.add(actor(), {"title": "added", "project_id": self.project_id})).id


@pytest.fixture
async def project(fixture: TeamFixture) -> InterruptedProject:
    made = InterruptedProject(fixture.memory, fixture.clock)
    await made.open()
    return made


async def test_finishing_copies_a_changed_ownership_to_an_added_task(
    project: InterruptedProject,
) -> None:
    with pytest.raises(Died):
        await project.edit(actor(), project.project_id, {"owner_id": BEN}, expected_version=None)
    assert (await project.added_task()).owner_id != BEN

    await project.finish(FINISHER, since=NOON)

    assert (await project.added_task()).owner_id == BEN
    finished = await project.added_task()
    await project.finish(FINISHER, since=NOON)
    assert await project.added_task() == finished


async def test_finishing_deletes_an_added_task_that_is_restored_with_its_project(
    project: InterruptedProject,
) -> None:
    with pytest.raises(Died):
        await project.delete(actor(), project.project_id, expected_version=None)
    assert not (await project.added_task()).is_deleted

    await project.finish(FINISHER, since=NOON)
    assert (await project.added_task()).is_deleted

    await project.restore(actor(), project.project_id, expected_version=None)
    assert not (await project.added_task()).is_deleted


LATE_TASK = numbered_id(81)


async def test_finishing_reassigns_a_task_taken_by_a_member_who_was_leaving(
    fixture: TeamFixture,
) -> None:
    team = await fixture.team(BEN)
    commits = 0

    async def gate(step: Step) -> None:
        nonlocal commits
        await open_gate(step)
        if step == BEFORE_COMMIT:
            commits += 1
            if commits > 1:
                raise Died
            await fixture.taken_task(LATE_TASK, team, BEN)

    interrupted = partial(StoredUnitOfWork, FaultyStore(fixture.memory, gate), SortableIdentifiers())
    with pytest.raises(Died):
        await RemoveMember(interrupted, fixture.clock)(actor(), team.id, BEN)
    assert await fixture.executors(LATE_TASK) == (BEN, BEN)

    finish = FinishLeavings(fixture.now.begin, fixture.clock)
    await finish(FINISHER, since=NOON)
    assert await fixture.executors(LATE_TASK) == (None, None)
    handed_back = await fixture.now.begin(FINISHER).tasks.get(LATE_TASK)
    await finish(FINISHER, since=NOON)
    assert await fixture.now.begin(FINISHER).tasks.get(LATE_TASK) == handed_back


async def test_finishing_keeps_the_tasks_of_returned_members_and_of_deleted_teams(
    fixture: TeamFixture,
) -> None:
    team, trashed = await fixture.team(BEN), await fixture.team(BEN)
    await fixture.now.remove(actor(), team.id, BEN)
    await fixture.now.add(actor(), team.id, [BEN])
    await fixture.taken_task(LATE_TASK, team, BEN)
    await fixture.taken_task(numbered_id(82), trashed, BEN)
    await fixture.now.delete(actor(), trashed.id, expected_version=None)

    await FinishLeavings(fixture.now.begin, fixture.clock)(FINISHER, since=NOON)

    assert await fixture.executors(LATE_TASK) == (BEN, BEN)
    assert await fixture.executors(numbered_id(82)) == (BEN, BEN)
