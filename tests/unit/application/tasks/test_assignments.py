"""Assigning tasks, taking and releasing them, also concurrently."""

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
from tests.unit.memory_store import MemoryRecordStore
from tests.unit.team_project import ASSIGNEE, MEMBER, STRANGER, TASKS, TEAM, TeamProject

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
        if step == BEFORE_COMMIT and self.interruption is not None:
            interruption, self.interruption = self.interruption, None
            await interruption()

    async def require_agreement(self) -> None:
        """Asserts that each task has at most one live assignment and an equal copy of it."""
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
async def use_cases() -> UseCases:
    made = UseCases()
    await TeamProject(made.plain).store()
    work = made.plain(actor(STRANGER))
    work.teams.save(
        Team.create(OTHER_TEAM, Stamp(NOON, STRANGER), owner_id=STRANGER, changes={"name": "Others"})
    )
    await work.commit()
    return made


async def test_a_task_passes_from_one_to_another_in_one_change_set(use_cases: UseCases) -> None:
    before = await use_cases.entries()
    seen = await use_cases.assign(actor(), CLEOS, user(BEN), expected_version=None)
    assert (seen.task.assignee, seen.task.executor_id) == (user(BEN), None)
    entries = (await use_cases._all("audit_logs"))[before:]
    assert {entry["collection"] for entry in entries} == {"tasks", "task_assignments"}
    assert len(entries) == 3
    assert len({entry["changeSetId"] for entry in entries}) == 1
    await use_cases.require_agreement()


async def test_the_same_assignee_again_changes_nothing(use_cases: UseCases) -> None:
    before = await use_cases.entries()
    seen = await use_cases.assign(actor(), CLEOS, user(ASSIGNEE), expected_version=None)
    again = await use_cases.create(actor(), CLEOS, user(ASSIGNEE))
    assert (seen.task.assignee_id, again.assignee_id) == (ASSIGNEE, ASSIGNEE)
    assert await use_cases.entries() == before


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
async def test_a_task_is_not_assigned_to_an_unknown_user_or_team(
    use_cases: UseCases, assignee: Assignee, because: str
) -> None:
    before = await use_cases.entries()
    with pytest.raises(RuleBroken) as refusal:
        await use_cases.assign(actor(), FREE, assignee, expected_version=None)
    assert [(fault.pointer, fault.message) for fault in refusal.value.violations] == [
        ("/assigneeId", because)
    ]
    assert await use_cases.entries() == before


async def test_an_administrator_gives_tasks_to_any_team(use_cases: UseCases) -> None:
    seen = await use_cases.assign(actor(admin=True), FREE, team(OTHER_TEAM), expected_version=None)
    assert seen.task.assignee == team(OTHER_TEAM)


async def test_a_team_in_the_trash_is_given_nothing(use_cases: UseCases) -> None:
    async def trash() -> None:
        work = use_cases.plain(actor())
        present = await work.teams.get(TEAM)
        work.teams.save(present.delete(Stamp(NOON, ANNA)))
        await work.commit()

    use_cases.interruption = trash
    with pytest.raises(RuleBroken):
        await use_cases.assign(actor(), FREE, team(TEAM), expected_version=None)
    await use_cases.require_agreement()


async def test_a_member_can_take_and_release_an_unassigned_task(
    use_cases: UseCases,
) -> None:
    work = use_cases.plain(actor())
    membership = await work.memberships.get(membership_id(TEAM, MEMBER))
    work.memberships.save(membership.without_role(Stamp(NOON, ANNA), membership.role_ids[0]))
    await work.commit()
    with pytest.raises(Forbidden):
        await use_cases.assign(actor(MEMBER), FREE, user(ANNA), expected_version=None)
    with pytest.raises(Forbidden):
        await use_cases.assign(actor(MEMBER), CLEOS, user(MEMBER), expected_version=None)

    taken = await use_cases.assign(actor(MEMBER), FREE, user(MEMBER), expected_version=None)
    freed = await use_cases.unassign(actor(MEMBER), FREE, expected_version=taken.version)

    assert (taken.task.assignee_id, freed.task.assignee_id) == (MEMBER, None)
    with pytest.raises(Forbidden):
        await use_cases.unassign(actor(MEMBER), CLEOS, expected_version=None)
    await use_cases.require_agreement()


async def test_an_invisible_task_cannot_be_assigned(use_cases: UseCases) -> None:
    with pytest.raises(NotFound):
        await use_cases.assign(actor(STRANGER), FREE, user(STRANGER), expected_version=None)
    with pytest.raises(RuleBroken) as refusal:
        await use_cases.create(actor(STRANGER), FREE, user(STRANGER))
    assert refusal.value.violations[0].pointer == "/taskId"
    for attempt in (
        use_cases.get(actor(STRANGER), TEAMS_ASSIGNMENT),
        use_cases.choose(actor(STRANGER), TEAMS_ASSIGNMENT, STRANGER, expected_version=None),
        use_cases.end(actor(STRANGER), TEAMS_ASSIGNMENT, expected_version=None),
    ):
        with pytest.raises(NotFound):
            await attempt


async def test_a_task_that_nobody_has_cannot_be_freed(use_cases: UseCases) -> None:
    with pytest.raises(NotFound):
        await use_cases.unassign(actor(), FREE, expected_version=None)


@pytest.mark.parametrize("held_by", [MEMBER, ASSIGNEE], ids=["another", "the same"])
async def test_a_task_that_does_not_repeat_its_assignment_can_be_given(
    use_cases: UseCases, held_by: str
) -> None:
    stamp = Stamp(NOON, actor().id)
    work = use_cases.plain(actor())
    work.assignments.save(TaskAssignment.create("f" * 24, stamp, task_id=FREE, assignee=user(held_by)))
    await work.commit()
    given = await use_cases.assign(actor(), FREE, user(ASSIGNEE), expected_version=None)
    assert given.task.assignee == user(ASSIGNEE)
    await use_cases.require_agreement()


async def test_a_stale_version_changes_nothing(use_cases: UseCases) -> None:
    before = await use_cases.entries()
    with pytest.raises(VersionConflict):
        await use_cases.assign(actor(), CLEOS, user(BEN), expected_version=1)
    with pytest.raises(VersionConflict):
        await use_cases.choose(actor(), TEAMS_ASSIGNMENT, ANNA, expected_version=1)
    with pytest.raises(VersionConflict):
        await use_cases.end(actor(), TEAMS_ASSIGNMENT, expected_version=7)
    assert await use_cases.entries() == before


async def test_a_member_becomes_executor_of_a_task_of_the_team(use_cases: UseCases) -> None:
    handed_back = await use_cases.choose(actor(MEMBER), TEAMS_ASSIGNMENT, None, expected_version=2)
    assert (handed_back.executor_id, handed_back.version) == (None, 3)
    taken = await use_cases.choose(actor(), TEAMS_ASSIGNMENT, ANNA, expected_version=3)
    assert taken.executor_id == ANNA
    await use_cases.require_agreement()


async def test_only_a_member_of_the_team_takes_over(use_cases: UseCases) -> None:
    with pytest.raises(RuleBroken) as refusal:
        await use_cases.choose(actor(), TEAMS_ASSIGNMENT, STRANGER, expected_version=None)
    assert refusal.value.violations[0].pointer == "/executorId"


async def test_a_users_task_has_no_executor(use_cases: UseCases) -> None:
    with pytest.raises(Conflict):
        await use_cases.choose(actor(), numbered_id(0x30), ANNA, expected_version=None)


async def test_a_member_who_leaves_concurrently_does_not_become_executor(use_cases: UseCases) -> None:
    await use_cases.choose(actor(MEMBER), TEAMS_ASSIGNMENT, None, expected_version=None)

    async def leave() -> None:
        work = use_cases.plain(actor(MEMBER))
        membership = await work.memberships.get(membership_id(TEAM, MEMBER))
        work.memberships.save(membership.leave(Stamp(NOON, MEMBER)))
        await work.commit()

    use_cases.interruption = leave
    with pytest.raises(RuleBroken) as refusal:
        await use_cases.choose(actor(), TEAMS_ASSIGNMENT, MEMBER, expected_version=None)
    assert refusal.value.violations[0].pointer == "/executorId"
    await use_cases.require_agreement()


async def test_a_title_that_changes_in_that_moment_hinders_no_takeover(use_cases: UseCases) -> None:
    async def rename() -> None:
        work = use_cases.plain(actor())
        task = await work.tasks.get(TEAMS)
        work.tasks.save(task.edit(Stamp(NOON, ANNA), {"title": "Bed of roses"}))
        await work.commit()

    use_cases.interruption = rename
    assert (await use_cases.choose(actor(), TEAMS_ASSIGNMENT, ANNA, expected_version=2)).executor_id == ANNA
    await use_cases.require_agreement()


async def test_many_who_assign_at_once_leave_one_assignment(use_cases: UseCases) -> None:
    people = [ANNA, BEN, ASSIGNEE, STRANGER]

    async def give(number: int) -> str:
        try:
            await use_cases.assign(actor(), FREE, user(people[number % 4]), expected_version=1)
        except VersionConflict:
            return "refused"
        return "given"

    outcomes = await asyncio.gather(*(give(number) for number in range(ASSIGNERS)))
    assert outcomes.count("given") == 1
    await use_cases.require_agreement()


async def test_an_assignment_ends_once(use_cases: UseCases) -> None:
    ended = await use_cases.end(actor(), TEAMS_ASSIGNMENT, expected_version=2)
    assert (ended.is_deleted, ended.version) == (True, 3)
    with pytest.raises(Conflict):
        await use_cases.end(actor(), TEAMS_ASSIGNMENT, expected_version=None)
    assert (await use_cases.get(actor(), TEAMS_ASSIGNMENT)).is_deleted
    await use_cases.require_agreement()


async def test_what_a_repeated_request_made_is_found_again(use_cases: UseCases) -> None:
    made = await use_cases.create(actor(), FREE, user(BEN))
    await use_cases.assign(actor(), FREE, user(ANNA), expected_version=None)
    found = await use_cases.made(actor(), FREE, version=2)
    assert found == made


async def test_assignments_hide_with_their_task_and_come_back_with_it(use_cases: UseCases) -> None:
    async def listed() -> list[str]:
        return [one.task_id for one in (await use_cases.find(actor(), TaskFilter(), PageRequest())).items]

    assert sorted(await listed()) == [CLEOS, TEAMS]
    await use_cases.delete(actor(), CLEOS, expected_version=None)
    assert await listed() == [TEAMS]
    with pytest.raises(Conflict):
        await use_cases.assign(actor(), CLEOS, user(ANNA), expected_version=None)
    back = await use_cases.restore(actor(), CLEOS, expected_version=None)
    assert (back.task.assignee_id, sorted(await listed())) == (ASSIGNEE, [CLEOS, TEAMS])


@pytest.mark.parametrize(
    ("by", "wanted", "tasks"),
    [
        (ANNA, TaskFilter(), [CLEOS, TEAMS]),
        (MEMBER, TaskFilter(), [CLEOS, TEAMS]),
        (ASSIGNEE, TaskFilter(), [CLEOS]),
        (STRANGER, TaskFilter(), []),
        (ANNA, TaskFilter(assignee_ids=(TEAM,)), [TEAMS]),
        (ANNA, TaskFilter(executor_id=MEMBER), [TEAMS]),
        (ANNA, TaskFilter(ids=(CLEOS, FREE)), [CLEOS]),
        (STRANGER, TaskFilter(ids=(CLEOS,)), []),
    ],
)
async def test_lists_show_the_assignments_of_visible_tasks(
    use_cases: UseCases, by: str, wanted: TaskFilter, tasks: list[str]
) -> None:
    page = await use_cases.find(actor(by), wanted, PageRequest(limit=1, with_total=True))
    found = [one.task_id for one in page.items]
    while page.next is not None:
        page = await use_cases.find(actor(by), wanted, PageRequest(limit=1, after=page.next, with_total=True))
        found += [one.task_id for one in page.items]
    assert (sorted(found), page.total) == (tasks, len(tasks))
