"""Tasks and roles of members who have left a team."""

from functools import partial

import pytest

from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from application.tasks.commands import EditTask
from application.tasks.reading import GetTask
from application.teams.commands import DeleteTeam
from domain.assignment import Assignee, AssigneeType, TaskAssignment
from domain.entity import Stamp
from domain.errors import Forbidden, NotFound, RuleBroken
from domain.project import Project
from domain.task import Ownership, Task, TaskStatus
from domain.team import Team
from tests.unit.application.team_fixture import CARL, TeamFixture
from tests.unit.builders import ANNA, BEN, NUMBERS, actor, numbered_id
from tests.unit.faults import FaultyStore, Moment, Step, open_gate

TASK, PROJECT = numbered_id(71), numbered_id(72)
AFTER_COMMIT = Step("memory", "commit", Moment.AFTER)


async def given_task(fixture: TeamFixture, team: Team, *, status: TaskStatus = TaskStatus.TODO) -> None:
    """A task in a project of the team, assigned to Ben."""
    stamp, assignee = Stamp(fixture.clock.now(), ANNA), Assignee(BEN, AssigneeType.USER)
    work = fixture.now.begin(actor())
    work.projects.save(
        Project.create(PROJECT, stamp, owner_id=ANNA, changes={"name": "Garden", "team_id": team.id})
    )
    ownership = Ownership(ANNA, team.id)
    task = Task.create(
        TASK, stamp, {"title": "Dig", "project_id": PROJECT, "status": status}, ownership=ownership
    )
    assignment = TaskAssignment.create(numbered_id(73), stamp, task_id=TASK, assignee=assignee)
    work.tasks.save(task)
    work.assignments.save(assignment)
    await work.commit()
    work = fixture.now.begin(actor())
    work.tasks.save((await work.tasks.get(TASK)).assigned(stamp, assignment))
    await work.commit()


async def stored_task(fixture: TeamFixture) -> tuple[Task, TaskAssignment]:
    work = fixture.now.begin(actor())
    assignment = await work.assignments.of_task(TASK)
    assert assignment is not None
    return await work.tasks.get(TASK), assignment


async def test_the_own_tasks_of_a_leaving_member_are_assigned_to_the_team(fixture: TeamFixture) -> None:
    team = await fixture.team(BEN)
    await given_task(fixture, team)
    await fixture.now.remove(actor(), team.id, BEN)

    task, assignment = await stored_task(fixture)
    assert task.assignee == assignment.assignee == Assignee(team.id, AssigneeType.TEAM)
    assert task.executor_id is assignment.executor_id is None
    with pytest.raises(NotFound):
        await GetTask(fixture.now.begin, fixture.clock)(actor(BEN), TASK)


async def test_a_task_that_is_done_keeps_its_executor_who_no_longer_sees_it(fixture: TeamFixture) -> None:
    team = await fixture.team(BEN)
    await given_task(fixture, team, status=TaskStatus.DONE)
    await fixture.now.remove(actor(), team.id, BEN)

    task, assignment = await stored_task(fixture)
    assert task.executor_id == assignment.executor_id == BEN
    with pytest.raises(NotFound):
        await GetTask(fixture.now.begin, fixture.clock)(actor(BEN), TASK)


async def test_a_task_that_is_open_again_waits_for_another_where_its_executor_has_left(
    fixture: TeamFixture,
) -> None:
    team = await fixture.team(BEN, CARL)
    await fixture.taken_task(TASK, team, BEN, {"status": TaskStatus.DONE})
    await fixture.now.remove(actor(), team.id, BEN)
    assert await fixture.executors(TASK) == (BEN, BEN)

    edit = EditTask(fixture.now.begin, fixture.clock, NUMBERS)
    await edit(actor(CARL), TASK, {"status": TaskStatus.TODO}, expected_version=None)

    assert await fixture.executors(TASK) == (None, None)


async def test_a_reopened_task_keeps_an_executor_who_is_still_a_member(fixture: TeamFixture) -> None:
    team = await fixture.team(BEN, CARL)
    await fixture.taken_task(TASK, team, BEN, {"status": TaskStatus.DONE})

    edit = EditTask(fixture.now.begin, fixture.clock, NUMBERS)
    await edit(actor(CARL), TASK, {"status": TaskStatus.TODO}, expected_version=None)

    assert await fixture.executors(TASK) == (BEN, BEN)


async def test_a_member_cannot_move_a_task_of_others_out_of_the_project(fixture: TeamFixture) -> None:
    team = await fixture.team(BEN)
    await given_task(fixture, team)
    edit = EditTask(fixture.now.begin, fixture.clock, NUMBERS)

    with pytest.raises(Forbidden):
        await edit(actor(BEN), TASK, {"project_id": None}, expected_version=None)
    await edit(actor(ANNA), TASK, {"project_id": None}, expected_version=None)

    task, _ = await stored_task(fixture)
    assert task.ownership == Ownership(ANNA)


async def test_a_code_admits_members_who_left_but_not_removed_ones(fixture: TeamFixture) -> None:
    team = await fixture.team(BEN, CARL)
    code, _ = await fixture.now.invite(actor(), team.id)
    await fixture.now.remove(actor(CARL), team.id, CARL)
    await fixture.now.remove(actor(), team.id, BEN)

    await fixture.now.join(actor(CARL), code)
    with pytest.raises(RuleBroken):
        await fixture.now.join(actor(BEN), code)
    assert await fixture.member_ids(team) == {ANNA, CARL}

    await fixture.now.add(actor(), team.id, [BEN])
    assert await fixture.member_ids(team) == {ANNA, BEN, CARL}


async def test_a_team_restored_while_it_goes_to_the_trash_has_all_its_members(fixture: TeamFixture) -> None:
    team = await fixture.team(BEN, CARL)
    restored: list[Team] = []

    async def gate(step: Step) -> None:
        await open_gate(step)
        if step == AFTER_COMMIT and not restored:
            restored.append(await fixture.now.restore(actor(), team.id, expected_version=None))

    interrupted = partial(StoredUnitOfWork, FaultyStore(fixture.memory, gate), SortableIdentifiers())
    await DeleteTeam(interrupted, fixture.clock)(actor(), team.id, expected_version=None)

    assert len(restored) == 1
    assert await fixture.member_ids(team) == {ANNA, BEN, CARL}
