"""Who is to do a task: given, taken, handed back; one at a time, also where many want it at once."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import pytest

from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from application.paging import PageRequest
from application.ports.repositories import TaskFilter
from application.ports.unit_of_work import Begin
from application.tasks.assignments import (
    AssignTask,
    ChooseExecutor,
    CreateAssignment,
    EndAssignment,
    GetAssignment,
    GetMadeAssignment,
    ListAssignments,
    UnassignTask,
)
from application.tasks.commands import DeleteTask, RestoreTask
from domain.assignment import Assignee, AssigneeType, TaskAssignment
from domain.entity import Stamp
from domain.errors import Conflict, Forbidden, NotFound, RuleBroken, VersionConflict
from domain.team import Team, membership_id
from tests.unit.builders import ANNA, BEN, NOON, NUMBERS, actor, numbered_id
from tests.unit.faults import FaultyStore, Moment, Step, open_gate
from tests.unit.garden import ASSIGNEE, MEMBER, STRANGER, TASKS, TEAM, Garden
from tests.unit.memory_store import MemoryRecordStore

CLEOS, TEAMS, FREE = TASKS[0], TASKS[1], TASKS[2]
TEAMS_ASSIGNMENT = numbered_id(0x31)
OTHER_TEAM = numbered_id(0x50)
ASSIGNERS = 16
BEFORE_COMMIT = Step("memory", "commit", Moment.BEFORE)


def user(id: str) -> Assignee:
    return Assignee(id, AssigneeType.USER)


def team(id: str) -> Assignee:
    return Assignee(id, AssigneeType.TEAM)


class SteppingClock:
    """The port Clock: every look is a second later."""

    def __init__(self) -> None:
        self.instant = NOON

    def now(self) -> datetime:
        self.instant += timedelta(seconds=1)
        return self.instant


class Desk:
    """The use cases over a planted garden; `crossing` comes between reading and commit, once."""

    def __init__(self) -> None:
        self.memory = MemoryRecordStore()
        self.crossing: Callable[[], Awaitable[Any]] | None = None
        identifiers, clock = SortableIdentifiers(), SteppingClock()
        self.plain: Begin = partial(StoredUnitOfWork, self.memory, identifiers)
        begin: Begin = partial(StoredUnitOfWork, FaultyStore(self.memory, self._gate), identifiers)
        self.assign = AssignTask(begin, clock, NUMBERS)
        self.unassign = UnassignTask(begin, clock, NUMBERS)
        self.create = CreateAssignment(begin, clock, NUMBERS)
        self.get, self.made, self.find = (
            GetAssignment(begin),
            GetMadeAssignment(begin),
            ListAssignments(begin),
        )
        self.choose = ChooseExecutor(begin, clock, NUMBERS)
        self.end = EndAssignment(begin, clock, NUMBERS)
        self.delete, self.restore = DeleteTask(begin, clock, NUMBERS), RestoreTask(begin, clock, NUMBERS)

    async def _gate(self, step: Step) -> None:
        await open_gate(step)
        if step == BEFORE_COMMIT and self.crossing is not None:
            crossing, self.crossing = self.crossing, None
            await crossing()

    async def require_agreement(self) -> None:
        """At most one live assignment for each task, and each task says what its own says."""
        tasks = {record["id"]: record for record in await self._all("tasks")}
        live: dict[str, Any] = {}
        for record in await self._all("task_assignments"):
            if not record["isDeleted"]:
                assert record["taskId"] not in live
                live[record["taskId"]] = record
        for id_, task in tasks.items():
            told = live.get(id_, {"assigneeId": None, "assigneeType": None, "executorId": None})
            names = ("assigneeId", "assigneeType", "executorId")
            assert [task[name] for name in names] == [told[name] for name in names]

    async def _all(self, collection: str) -> list[dict[str, Any]]:
        return await self.memory.scan(collection, after=None, limit=5_000)

    async def entries(self) -> int:
        return len(await self._all("audit_logs"))


@pytest.fixture
async def desk() -> Desk:
    made = Desk()
    await Garden(made.plain).plant()
    work = made.plain(actor(STRANGER))
    work.teams.save(
        Team.create(OTHER_TEAM, Stamp(NOON, STRANGER), owner_id=STRANGER, changes={"name": "Others"})
    )
    await work.commit()
    return made


async def test_a_task_passes_from_one_to_another_in_one_change_set(desk: Desk) -> None:
    before = await desk.entries()
    seen = await desk.assign(actor(), CLEOS, user(BEN), expected_version=None)
    assert (seen.task.assignee, seen.task.executor_id) == (user(BEN), None)
    entries = (await desk._all("audit_logs"))[before:]
    assert {entry["collection"] for entry in entries} == {"tasks", "task_assignments"}
    assert len(entries) == 3
    assert len({entry["changeSetId"] for entry in entries}) == 1
    await desk.require_agreement()


async def test_the_same_assignee_again_changes_nothing(desk: Desk) -> None:
    before = await desk.entries()
    seen = await desk.assign(actor(), CLEOS, user(ASSIGNEE), expected_version=None)
    again = await desk.create(actor(), CLEOS, user(ASSIGNEE))
    assert (seen.task.assignee_id, again.assignee_id) == (ASSIGNEE, ASSIGNEE)
    assert await desk.entries() == before


@pytest.mark.parametrize(
    ("assignee", "because"),
    [
        (user("f" * 24), "is not a user"),
        (user(TEAM), "is not a user"),
        (team("f" * 24), "is not one of your teams"),
        (team(BEN), "is not one of your teams"),
        (team(OTHER_TEAM), "is not one of your teams"),
    ],
)
async def test_nobody_is_given_a_task_who_is_not_there(desk: Desk, assignee: Assignee, because: str) -> None:
    before = await desk.entries()
    with pytest.raises(RuleBroken) as refusal:
        await desk.assign(actor(), FREE, assignee, expected_version=None)
    assert [(fault.pointer, fault.message) for fault in refusal.value.faults] == [("/assigneeId", because)]
    assert await desk.entries() == before


async def test_an_administrator_gives_tasks_to_any_team(desk: Desk) -> None:
    seen = await desk.assign(actor("d" * 24, admin=True), FREE, team(OTHER_TEAM), expected_version=None)
    assert seen.task.assignee == team(OTHER_TEAM)


async def test_a_team_in_the_trash_is_given_nothing(desk: Desk) -> None:
    async def trash() -> None:
        work = desk.plain(actor())
        present = await work.teams.get(TEAM)
        work.teams.save(present.delete(Stamp(NOON, ANNA)))
        await work.commit()

    desk.crossing = trash
    with pytest.raises(RuleBroken):
        await desk.assign(actor(), FREE, team(TEAM), expected_version=None)
    await desk.require_agreement()


async def test_whoever_works_on_a_task_that_nobody_has_takes_it_and_gives_it_back(desk: Desk) -> None:
    work = desk.plain(actor())
    membership = await work.memberships.get(membership_id(TEAM, MEMBER))
    work.memberships.save(membership.without_role(Stamp(NOON, ANNA), membership.role_ids[0]))
    await work.commit()
    with pytest.raises(Forbidden):
        await desk.assign(actor(MEMBER), FREE, user(ANNA), expected_version=None)
    with pytest.raises(Forbidden):
        await desk.assign(actor(MEMBER), CLEOS, user(MEMBER), expected_version=None)

    taken = await desk.assign(actor(MEMBER), FREE, user(MEMBER), expected_version=None)
    freed = await desk.unassign(actor(MEMBER), FREE, expected_version=taken.version)

    assert (taken.task.assignee_id, freed.task.assignee_id) == (MEMBER, None)
    with pytest.raises(Forbidden):
        await desk.unassign(actor(MEMBER), CLEOS, expected_version=None)
    await desk.require_agreement()


async def test_who_must_not_know_of_a_task_cannot_give_it_away(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await desk.assign(actor(STRANGER), FREE, user(STRANGER), expected_version=None)
    with pytest.raises(RuleBroken) as refusal:
        await desk.create(actor(STRANGER), FREE, user(STRANGER))
    assert refusal.value.faults[0].pointer == "/taskId"
    for attempt in (
        desk.get(actor(STRANGER), TEAMS_ASSIGNMENT),
        desk.choose(actor(STRANGER), TEAMS_ASSIGNMENT, STRANGER, expected_version=None),
        desk.end(actor(STRANGER), TEAMS_ASSIGNMENT, expected_version=None),
    ):
        with pytest.raises(NotFound):
            await attempt


async def test_a_task_that_nobody_has_cannot_be_freed(desk: Desk) -> None:
    with pytest.raises(NotFound):
        await desk.unassign(actor(), FREE, expected_version=None)


@pytest.mark.parametrize("held_by", [MEMBER, ASSIGNEE], ids=["another", "the same"])
async def test_a_task_that_does_not_repeat_its_assignment_can_be_given(desk: Desk, held_by: str) -> None:
    stamp = Stamp(NOON, actor().id)
    work = desk.plain(actor())
    work.assignments.save(TaskAssignment.create("f" * 24, stamp, task_id=FREE, assignee=user(held_by)))
    await work.commit()
    given = await desk.assign(actor(), FREE, user(ASSIGNEE), expected_version=None)
    assert given.task.assignee == user(ASSIGNEE)
    await desk.require_agreement()


async def test_a_stale_version_changes_nothing(desk: Desk) -> None:
    before = await desk.entries()
    with pytest.raises(VersionConflict):
        await desk.assign(actor(), CLEOS, user(BEN), expected_version=1)
    with pytest.raises(VersionConflict):
        await desk.choose(actor(), TEAMS_ASSIGNMENT, ANNA, expected_version=1)
    with pytest.raises(VersionConflict):
        await desk.end(actor(), TEAMS_ASSIGNMENT, expected_version=7)
    assert await desk.entries() == before


async def test_a_member_takes_over_what_his_team_was_given(desk: Desk) -> None:
    handed_back = await desk.choose(actor(MEMBER), TEAMS_ASSIGNMENT, None, expected_version=2)
    assert (handed_back.executor_id, handed_back.version) == (None, 3)
    taken = await desk.choose(actor(), TEAMS_ASSIGNMENT, ANNA, expected_version=3)
    assert taken.executor_id == ANNA
    await desk.require_agreement()


async def test_only_a_member_of_the_team_takes_over(desk: Desk) -> None:
    with pytest.raises(RuleBroken) as refusal:
        await desk.choose(actor(), TEAMS_ASSIGNMENT, STRANGER, expected_version=None)
    assert refusal.value.faults[0].pointer == "/executorId"


async def test_a_users_task_has_no_executor(desk: Desk) -> None:
    with pytest.raises(Conflict):
        await desk.choose(actor(), numbered_id(0x30), ANNA, expected_version=None)


async def test_who_leaves_the_team_in_that_moment_does_not_take_over(desk: Desk) -> None:
    await desk.choose(actor(MEMBER), TEAMS_ASSIGNMENT, None, expected_version=None)

    async def leave() -> None:
        work = desk.plain(actor(MEMBER))
        membership = await work.memberships.get(membership_id(TEAM, MEMBER))
        work.memberships.save(membership.leave(Stamp(NOON, MEMBER)))
        await work.commit()

    desk.crossing = leave
    with pytest.raises(RuleBroken) as refusal:
        await desk.choose(actor(), TEAMS_ASSIGNMENT, MEMBER, expected_version=None)
    assert refusal.value.faults[0].pointer == "/executorId"
    await desk.require_agreement()


async def test_a_title_that_changes_in_that_moment_hinders_no_takeover(desk: Desk) -> None:
    async def rename() -> None:
        work = desk.plain(actor())
        task = await work.tasks.get(TEAMS)
        work.tasks.save(task.edit(Stamp(NOON, ANNA), {"title": "Bed of roses"}))
        await work.commit()

    desk.crossing = rename
    assert (await desk.choose(actor(), TEAMS_ASSIGNMENT, ANNA, expected_version=2)).executor_id == ANNA
    await desk.require_agreement()


async def test_many_who_assign_at_once_leave_one_assignment(desk: Desk) -> None:
    people = [ANNA, BEN, ASSIGNEE, STRANGER]

    async def give(number: int) -> str:
        try:
            await desk.assign(actor(), FREE, user(people[number % 4]), expected_version=1)
        except VersionConflict:
            return "refused"
        return "given"

    outcomes = await asyncio.gather(*(give(number) for number in range(ASSIGNERS)))
    assert outcomes.count("given") == 1
    await desk.require_agreement()


async def test_an_assignment_ends_once(desk: Desk) -> None:
    ended = await desk.end(actor(), TEAMS_ASSIGNMENT, expected_version=2)
    assert (ended.is_deleted, ended.version) == (True, 3)
    with pytest.raises(Conflict):
        await desk.end(actor(), TEAMS_ASSIGNMENT, expected_version=None)
    assert (await desk.get(actor(), TEAMS_ASSIGNMENT)).is_deleted
    await desk.require_agreement()


async def test_what_a_repeated_request_made_is_found_again(desk: Desk) -> None:
    made = await desk.create(actor(), FREE, user(BEN))
    await desk.assign(actor(), FREE, user(ANNA), expected_version=None)
    found = await desk.made(actor(), FREE, version=2)
    assert found == made


async def test_assignments_hide_with_their_task_and_come_back_with_it(desk: Desk) -> None:
    async def listed() -> list[str]:
        return [one.task_id for one in (await desk.find(actor(), TaskFilter(), PageRequest())).items]

    assert sorted(await listed()) == [CLEOS, TEAMS]
    await desk.delete(actor(), CLEOS, expected_version=None)
    assert await listed() == [TEAMS]
    with pytest.raises(Conflict):
        await desk.assign(actor(), CLEOS, user(ANNA), expected_version=None)
    back = await desk.restore(actor(), CLEOS, expected_version=None)
    assert (back.task.assignee_id, sorted(await listed())) == (ASSIGNEE, [CLEOS, TEAMS])


@pytest.mark.parametrize(
    ("by", "wanted", "tasks"),
    [
        (ANNA, TaskFilter(), [CLEOS, TEAMS]),
        (MEMBER, TaskFilter(), [CLEOS, TEAMS]),
        (ASSIGNEE, TaskFilter(), [CLEOS]),
        (STRANGER, TaskFilter(), []),
        (ANNA, TaskFilter(assignee_id=TEAM), [TEAMS]),
        (ANNA, TaskFilter(executor_id=MEMBER), [TEAMS]),
        (ANNA, TaskFilter(ids=(CLEOS, FREE)), [CLEOS]),
        (STRANGER, TaskFilter(ids=(CLEOS,)), []),
    ],
)
async def test_lists_show_the_assignments_of_visible_tasks(
    desk: Desk, by: str, wanted: TaskFilter, tasks: list[str]
) -> None:
    page = await desk.find(actor(by), wanted, PageRequest(limit=1, with_total=True))
    found = [one.task_id for one in page.items]
    while page.next is not None:
        page = await desk.find(actor(by), wanted, PageRequest(limit=1, after=page.next, with_total=True))
        found += [one.task_id for one in page.items]
    assert (sorted(found), page.total) == (tasks, len(tasks))
