"""What stays with people, and what does not, once they are no longer in a team."""

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
from tests.unit.application.clubhouse import CARL, Clubhouse
from tests.unit.builders import ANNA, BEN, NUMBERS, actor, numbered_id
from tests.unit.faults import FaultyStore, Moment, Step, open_gate

TASK, PROJECT = numbered_id(71), numbered_id(72)
AFTER_COMMIT = Step("memory", "commit", Moment.AFTER)


async def given_task(house: Clubhouse, team: Team, *, status: TaskStatus = TaskStatus.TODO) -> None:
    """A task in a project of the team's, given to Ben alone."""
    stamp, assignee = Stamp(house.clock.now(), ANNA), Assignee(BEN, AssigneeType.USER)
    work = house.now.begin(actor())
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
    work = house.now.begin(actor())
    work.tasks.save((await work.tasks.get(TASK)).assigned(stamp, assignment))
    await work.commit()


async def stored_task(house: Clubhouse) -> tuple[Task, TaskAssignment]:
    work = house.now.begin(actor())
    assignment = await work.assignments.of_task(TASK)
    assert assignment is not None
    return await work.tasks.get(TASK), assignment


async def test_what_was_given_to_him_alone_goes_to_the_team(house: Clubhouse) -> None:
    team = await house.team(BEN)
    await given_task(house, team)
    await house.now.remove(actor(), team.id, BEN)

    task, assignment = await stored_task(house)
    assert task.assignee == assignment.assignee == Assignee(team.id, AssigneeType.TEAM)
    assert task.executor_id is assignment.executor_id is None
    with pytest.raises(NotFound):
        await GetTask(house.now.begin, house.clock)(actor(BEN), TASK)


async def test_what_is_done_stays_his_work_but_he_sees_it_no_more(house: Clubhouse) -> None:
    team = await house.team(BEN)
    await given_task(house, team, status=TaskStatus.DONE)
    await house.now.remove(actor(), team.id, BEN)

    task, assignment = await stored_task(house)
    assert task.executor_id == assignment.executor_id == BEN
    with pytest.raises(NotFound):
        await GetTask(house.now.begin, house.clock)(actor(BEN), TASK)


async def test_a_task_that_is_open_again_waits_for_another_where_its_executor_has_left(
    house: Clubhouse,
) -> None:
    team = await house.team(BEN, CARL)
    await house.taken_task(TASK, team, BEN, {"status": TaskStatus.DONE})
    await house.now.remove(actor(), team.id, BEN)
    assert await house.executors(TASK) == (BEN, BEN)

    edit = EditTask(house.now.begin, house.clock, NUMBERS)
    await edit(actor(CARL), TASK, {"status": TaskStatus.TODO}, expected_version=None)

    assert await house.executors(TASK) == (None, None)


async def test_a_task_that_is_open_again_stays_with_an_executor_who_is_there(house: Clubhouse) -> None:
    team = await house.team(BEN, CARL)
    await house.taken_task(TASK, team, BEN, {"status": TaskStatus.DONE})

    edit = EditTask(house.now.begin, house.clock, NUMBERS)
    await edit(actor(CARL), TASK, {"status": TaskStatus.TODO}, expected_version=None)

    assert await house.executors(TASK) == (BEN, BEN)


async def test_nobody_carries_off_a_task_that_he_only_works_on(house: Clubhouse) -> None:
    team = await house.team(BEN)
    await given_task(house, team)
    edit = EditTask(house.now.begin, house.clock, NUMBERS)

    with pytest.raises(Forbidden):
        await edit(actor(BEN), TASK, {"project_id": None}, expected_version=None)
    await edit(actor(ANNA), TASK, {"project_id": None}, expected_version=None)

    task, _ = await stored_task(house)
    assert task.ownership == Ownership(ANNA)


async def test_a_code_lets_back_in_who_left_but_not_who_was_removed(house: Clubhouse) -> None:
    team = await house.team(BEN, CARL)
    code, _ = await house.now.invite(actor(), team.id)
    await house.now.remove(actor(CARL), team.id, CARL)
    await house.now.remove(actor(), team.id, BEN)

    await house.now.join(actor(CARL), code)
    with pytest.raises(RuleBroken):
        await house.now.join(actor(BEN), code)
    assert await house.member_ids(team) == {ANNA, CARL}

    await house.now.add(actor(), team.id, [BEN])
    assert await house.member_ids(team) == {ANNA, BEN, CARL}


async def test_a_team_restored_while_it_goes_to_the_trash_has_all_its_members(house: Clubhouse) -> None:
    team = await house.team(BEN, CARL)
    restored: list[Team] = []

    async def gate(step: Step) -> None:
        await open_gate(step)
        if step == AFTER_COMMIT and not restored:
            restored.append(await house.now.restore(actor(), team.id, expected_version=None))

    crossed = partial(StoredUnitOfWork, FaultyStore(house.memory, gate), SortableIdentifiers())
    await DeleteTeam(crossed, house.clock)(actor(), team.id, expected_version=None)

    assert len(restored) == 1
    assert await house.member_ids(team) == {ANNA, BEN, CARL}
