"""Content that was deleted at the same time as its project or team, but not with it, is not restored with it."""

from datetime import datetime, timedelta
from functools import partial

import pytest

from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from application.ports.unit_of_work import Begin
from application.projects.commands import DeleteProject, RestoreProject
from application.tasks.commands import DeleteTask
from application.trash import INSTANTS_MAX, NEXT_INSTANT
from domain.entity import Stamp
from domain.errors import Conflict
from domain.user import User
from tests.unit.application.team_fixture import SettableClock, TeamFixture, TeamUseCases
from tests.unit.builders import ANNA, BEN, NOON, NUMBERS, actor, numbered_id, project, stamp, task
from tests.unit.memory_store import MemoryRecordStore

PROJECT, GONE, LIVE = numbered_id(1), numbered_id(2), numbered_id(3)


class StandingClock(SettableClock):
    """The port Clock: it stands until the test moves it."""

    def now(self) -> datetime:
        return self.instant


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
def begin() -> Begin:
    return partial(StoredUnitOfWork, MemoryRecordStore(), SortableIdentifiers())


async def test_a_member_removed_at_the_same_time_is_not_restored_with_the_team(
    fixture: TeamFixture, clock: StandingClock
) -> None:
    team = await fixture.team(BEN)
    cases = TeamUseCases(fixture.now.begin, clock)
    await cases.remove(actor(), team.id, BEN)
    deleted = await cases.delete(actor(), team.id, expected_version=None)
    assert deleted.deleted_at == NOON + NEXT_INSTANT
    await cases.restore(actor(), team.id, expected_version=None)
    assert await fixture.member_ids(team) == {ANNA}


@pytest.mark.parametrize("by", [ANNA, BEN], ids=["same person", "another"])
async def test_a_task_deleted_in_that_instant_does_not_come_back_with_the_project(
    begin: Begin, clock: StandingClock, by: str
) -> None:
    work = begin(actor())
    work.users.save(User.create(by, stamp(by=by), email="a@example.org", name="A", grants=("admin",)))
    work.projects.save(project())
    for number in (2, 3):
        work.tasks.save(task(number, changes={"project_id": PROJECT}))
    await work.commit()
    await DeleteTask(begin, clock, NUMBERS)(actor(by, admin=True), GONE, expected_version=None)
    await DeleteProject(begin, clock)(actor(), PROJECT, expected_version=None)
    trashed = await begin(actor()).tasks.get_many([GONE, LIVE])
    assert [trashed[id].is_deleted for id in (GONE, LIVE)] == [True, True]
    await RestoreProject(begin, clock)(actor(), PROJECT, expected_version=None)
    tasks = await begin(actor()).tasks.get_many([GONE, LIVE])
    assert [tasks[id].is_deleted for id in (GONE, LIVE)] == [True, False]


async def test_deletions_too_close_in_time_are_rejected(begin: Begin, clock: StandingClock) -> None:
    work = begin(actor())
    tasks = [task(100 + number, changes={"project_id": PROJECT}) for number in range(INSTANTS_MAX)]
    work.projects.save(project())
    for one in tasks:
        work.tasks.save(one)
    await work.commit()
    for number, one in enumerate(tasks):
        work.tasks.save(one.delete(Stamp(NOON + number * NEXT_INSTANT, ANNA)))
    await work.commit()
    with pytest.raises(Conflict, match="try again"):
        await DeleteProject(begin, clock)(actor(), PROJECT, expected_version=None)
    clock.instant += timedelta(seconds=1)
    deleted_project = await DeleteProject(begin, clock)(actor(), PROJECT, expected_version=None)
    assert deleted_project.is_deleted
