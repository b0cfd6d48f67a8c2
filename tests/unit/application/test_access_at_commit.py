"""Rights that end between the reading and the commit of a use case."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from adapters.system.identifiers import SortableIdentifiers
from application.ports.unit_of_work import Begin
from application.projects.commands import (
    CreateProject,
    DeleteProject,
    EditProject,
    RestoreProject,
    RollBackProject,
)
from application.projects.timelines import RollBackTimeline, SaveTimeline
from application.retrying import RETRIES_MAX
from application.tasks.assignments import AssignTask
from application.tasks.bulk import WriteTasksEach, WriteTasksTogether
from application.tasks.bulk_operations import DeleteOperation
from application.tasks.commands import CreateTask, DeleteTask, EditTask, RestoreTask, RollBackTask
from domain.assignment import Assignee, AssigneeType
from domain.errors import Forbidden, NotFound, RuleBroken, TandemError
from domain.project import Project
from domain.role import TEAM_PERMISSIONS, Permission, Role, RoleScope, built_in_id
from domain.task import Task
from domain.team import Team
from domain.timeline import Plan, TimelineItem
from tests.unit.application.team_fixture import CARL, EVE, Interruption, TeamFixture, TeamUseCases, admin
from tests.unit.builders import ANNA, BEN, NUMBERS, actor

LEADER = built_in_id(RoleScope.TEAM, "admin")
ADMINISTRATOR = built_in_id(RoleScope.GLOBAL, "admin")
PLAN, OTHER_PLAN = Plan(items=(TimelineItem(id="a"),)), Plan(items=(TimelineItem(id="b"),))


class UseCases:
    """The use cases of teams, projects and tasks over one store."""

    def __init__(self, fixture: TeamFixture, teams: TeamUseCases) -> None:
        begin: Begin = teams.begin
        clock, identifiers = fixture.clock, SortableIdentifiers()
        self.teams = teams
        self.new_project = CreateProject(begin, clock, identifiers)
        self.edit_project, self.delete_project = EditProject(begin, clock), DeleteProject(begin, clock)
        self.restore_project, self.roll_back_project = (
            RestoreProject(begin, clock),
            RollBackProject(begin, clock),
        )
        self.save_plan, self.roll_back_plan = SaveTimeline(begin, clock), RollBackTimeline(begin, clock)
        self.new_task = CreateTask(begin, clock, identifiers, NUMBERS)
        self.edit_task, self.delete_task = EditTask(begin, clock, NUMBERS), DeleteTask(begin, clock, NUMBERS)
        self.restore_task = RestoreTask(begin, clock, NUMBERS)
        self.roll_back_task = RollBackTask(begin, clock, NUMBERS)
        self.assign = AssignTask(begin, clock, NUMBERS)
        self.together = WriteTasksTogether(begin, clock, NUMBERS, identifiers)
        self.each = WriteTasksEach(begin, clock, NUMBERS, identifiers)


@dataclass(frozen=True, slots=True)
class SharedProject:
    """Anna's team with her project. Ben has every permission there by a custom role, Carl by a built-in one.

    `task` is Anna's, `made` is Ben's; both are in the project. `own` and `shed` are Ben's and outside the team; `own`
    was in the project before.
    """

    fixture: TeamFixture
    now: UseCases
    interrupted: UseCases
    team: Team
    manager_role: Role
    project: Project
    trashed: Project
    shed: Project
    task: Task
    trashed_task: Task
    made: Task
    own: Task

    async def member_removed(self) -> None:
        await self.now.teams.remove(actor(), self.team.id, BEN)

    async def role_taken(self) -> None:
        await self.now.teams.take(actor(), self.team.id, BEN, self.manager_role.id)

    async def role_changed(self) -> None:
        await self.now.teams.edit_role(
            admin(), self.manager_role.id, {"permissions": ()}, expected_version=None
        )

    async def role_retired(self) -> None:
        await self.now.teams.delete_role(admin(), self.manager_role.id, expected_version=None)


@pytest.fixture
async def shared(fixture: TeamFixture) -> SharedProject:
    now = UseCases(fixture, fixture.now)
    team = await fixture.team(BEN, CARL)
    await now.teams.edit(actor(), team.id, {"name": "Growers"}, expected_version=None)
    everything = tuple(sorted(TEAM_PERMISSIONS))
    manager_role = await now.teams.new_role(
        admin(), RoleScope.TEAM, {"name": "keeper", "permissions": everything}
    )
    await now.teams.grant(actor(), team.id, BEN, manager_role.id)
    await now.teams.grant(actor(), team.id, CARL, LEADER)
    project = await now.new_project(actor(), {"name": "Garden", "team_id": team.id})
    await now.edit_project(actor(), project.id, {"description": "Green"}, expected_version=None)
    trashed = await now.new_project(actor(), {"name": "Heap", "team_id": team.id})
    await now.delete_project(actor(), trashed.id, expected_version=None)
    for plan in (PLAN, OTHER_PLAN):
        await now.save_plan(actor(), project.id, plan, expected_version=None)
    tasks = [
        (await now.new_task(actor(by), {"title": title, "project_id": project.id})).task
        for by, title in ((ANNA, "Dig"), (ANNA, "Rake"), (BEN, "Weed"), (BEN, "Rest"))
    ]
    task, trashed_task, made, own = tasks
    await now.edit_task(actor(), task.id, {"title": "Dig deeper"}, expected_version=None)
    await now.delete_task(actor(), trashed_task.id, expected_version=None)
    shed = await now.new_project(actor(BEN), {"name": "Shed"})
    for project_id in (shed.id, None):
        await now.edit_task(actor(BEN), own.id, {"project_id": project_id}, expected_version=None)
    return SharedProject(
        fixture=fixture,
        now=now,
        interrupted=UseCases(fixture, fixture.interrupted),
        team=team,
        manager_role=manager_role,
        project=project,
        trashed=trashed,
        shed=shed,
        task=task,
        trashed_task=trashed_task,
        made=made,
        own=own,
    )


def _user(id: str) -> Assignee:
    return Assignee(id, AssigneeType.USER)


Operation = Callable[[SharedProject, UseCases], Awaitable[Any]]
BY = actor(BEN)

BY_PERMISSION: dict[str, Operation] = {
    "edit team": lambda at, do: do.teams.edit(BY, at.team.id, {"name": "Ours"}, expected_version=None),
    "roll back team": lambda at, do: do.teams.roll_back(BY, at.team.id, version=1, expected_version=None),
    "revoke codes": lambda at, do: do.teams.revoke(BY, at.team.id, expected_version=None),
    "add member": lambda at, do: do.teams.add(BY, at.team.id, [EVE]),
    "remove member": lambda at, do: do.teams.remove(BY, at.team.id, CARL),
    "grant role": lambda at, do: do.teams.grant(BY, at.team.id, ANNA, LEADER),
    "take role": lambda at, do: do.teams.take(BY, at.team.id, CARL, LEADER),
    "edit project": lambda at, do: do.edit_project(
        BY, at.project.id, {"name": "Ours"}, expected_version=None
    ),
    "delete project": lambda at, do: do.delete_project(BY, at.project.id, expected_version=None),
    "restore project": lambda at, do: do.restore_project(BY, at.trashed.id, expected_version=None),
    "roll back project": lambda at, do: do.roll_back_project(
        BY, at.project.id, version=1, expected_version=None
    ),
    "save plan": lambda at, do: do.save_plan(BY, at.project.id, PLAN, expected_version=None),
    "roll back plan": lambda at, do: do.roll_back_plan(BY, at.project.id, version=1, expected_version=None),
    "delete task": lambda at, do: do.delete_task(BY, at.task.id, expected_version=None),
    "restore task": lambda at, do: do.restore_task(BY, at.trashed_task.id, expected_version=None),
    "roll back task": lambda at, do: do.roll_back_task(BY, at.task.id, version=1, expected_version=None),
    "take task out": lambda at, do: do.edit_task(BY, at.task.id, {"project_id": None}, expected_version=None),
    "assign task": lambda at, do: do.assign(BY, at.task.id, _user(CARL), expected_version=None),
    "delete tasks together": lambda at, do: do.together(BY, [DeleteOperation(at.task.id)]),
    "delete tasks each": lambda at, do: _first(do.each(BY, [DeleteOperation(at.task.id)])),
}
"""Operations that Ben may do with his permissions in the team."""

BY_BELONGING: dict[str, Operation] = {
    "create project": lambda at, do: do.new_project(BY, {"name": "New", "team_id": at.team.id}),
    "share project": lambda at, do: do.edit_project(
        BY, at.shed.id, {"team_id": at.team.id}, expected_version=None
    ),
    "take task": lambda at, do: do.assign(BY, at.task.id, _user(BEN), expected_version=None),
    "delete made task": lambda at, do: do.delete_task(BY, at.made.id, expected_version=None),
    "move own task": lambda at, do: do.edit_task(
        BY, at.own.id, {"project_id": at.project.id}, expected_version=None
    ),
    "roll back own task": lambda at, do: do.roll_back_task(BY, at.own.id, version=1, expected_version=None),
    "give own task to team": lambda at, do: do.assign(
        BY, at.own.id, Assignee(at.team.id, AssigneeType.TEAM), expected_version=None
    ),
}
"""Operations that Ben may do as a plain member."""


async def _first(outcomes: Awaitable[list[Any]]) -> Any:
    """The only outcome, raised if it is an error."""
    (outcome,) = await outcomes
    if isinstance(outcome, TandemError):
        raise outcome
    return outcome


async def _refused(
    at: SharedProject, operation: Operation, end: Callable[[], Awaitable[None]]
) -> TandemError:
    """The error of an operation whose right ends before its commit; nothing but that end may be stored."""
    left: list[Any] = []

    async def interruption() -> None:
        await end()
        left.append(await at.fixture.stored())

    at.fixture.interrupt(interruption)
    with pytest.raises(TandemError) as refusal:
        await operation(at, at.interrupted)
    assert [await at.fixture.stored()] == left
    return refusal.value


@pytest.mark.parametrize("operation", BY_PERMISSION.values(), ids=BY_PERMISSION)
async def test_a_member_who_is_removed_concurrently_changes_nothing(
    shared: SharedProject, operation: Operation
) -> None:
    refusal = await _refused(shared, operation, shared.member_removed)
    assert isinstance(refusal, NotFound)


@pytest.mark.parametrize("end", ["role_taken", "role_changed", "role_retired"])
@pytest.mark.parametrize("operation", BY_PERMISSION.values(), ids=BY_PERMISSION)
async def test_a_role_that_ends_meanwhile_allows_nothing(
    shared: SharedProject, operation: Operation, end: str
) -> None:
    refusal = await _refused(shared, operation, getattr(shared, end))
    assert isinstance(refusal, Forbidden)


@pytest.mark.parametrize("operation", BY_BELONGING.values(), ids=BY_BELONGING)
async def test_a_member_who_leaves_concurrently_loses_the_rights_of_members(
    shared: SharedProject, operation: Operation
) -> None:
    refusal = await _refused(shared, operation, shared.member_removed)
    assert isinstance(refusal, NotFound | RuleBroken)


@pytest.mark.parametrize("operation", BY_BELONGING.values(), ids=BY_BELONGING)
async def test_what_all_members_may_does_not_wait_for_their_roles(
    shared: SharedProject, operation: Operation
) -> None:
    async def change_role() -> None:
        permissions = () if shared.fixture.times % 2 else (Permission.ASSIGN_TASKS,)
        await shared.now.teams.edit_role(
            admin(), shared.manager_role.id, {"permissions": permissions}, expected_version=None
        )

    await _commits_at_once(shared, operation, by=BEN, meanwhile=change_role)


async def test_a_role_won_meanwhile_hinders_nobody(shared: SharedProject) -> None:
    team_id = shared.team.id
    shared.fixture.interrupt(lambda: shared.now.teams.grant(actor(), team_id, BEN, LEADER))
    await shared.interrupted.delete_task(BY, shared.task.id, expected_version=None)
    work = shared.now.teams.begin(actor())
    assert (await work.tasks.get(shared.task.id)).is_deleted


FREE: dict[str, Operation] = {
    "owner edits team": lambda at, do: do.teams.edit(
        actor(), at.team.id, {"name": "Ours"}, expected_version=None
    ),
    "owner removes member": lambda at, do: do.teams.remove(actor(), at.team.id, CARL),
    "owner edits project": lambda at, do: do.edit_project(
        actor(), at.project.id, {"name": "Ours"}, expected_version=None
    ),
    "owner saves plan": lambda at, do: do.save_plan(actor(), at.project.id, PLAN, expected_version=None),
    "owner deletes task": lambda at, do: do.delete_task(actor(), at.task.id, expected_version=None),
    "admin puts into team": lambda at, do: do.new_project(
        actor(ANNA, admin=True), {"name": "New", "team_id": at.team.id}
    ),
    "admin grants role": lambda at, do: do.teams.grant(actor(ANNA, admin=True), at.team.id, BEN, LEADER),
}
"""Operations that Anna may do without the team."""


@pytest.mark.parametrize("operation", FREE.values(), ids=FREE)
async def test_rights_without_a_team_do_not_depend_on_memberships(
    shared: SharedProject, operation: Operation
) -> None:
    await shared.now.teams.grant_global(admin(), ANNA, ADMINISTRATOR, expected_version=None)
    await _commits_at_once(shared, operation, by=ANNA, meanwhile=_turn(shared, ANNA))


ORDINARY: dict[str, Operation] = {
    "create task": lambda at, do: do.new_task(BY, {"title": "x", "project_id": at.project.id}),
    "edit task": lambda at, do: do.edit_task(BY, at.task.id, {"title": "x"}, expected_version=None),
}


@pytest.mark.parametrize("operation", ORDINARY.values(), ids=ORDINARY)
async def test_everyday_work_on_tasks_is_decided_as_it_was_read(
    shared: SharedProject, operation: Operation
) -> None:
    await _commits_at_once(shared, operation, by=BEN, meanwhile=_turn(shared, BEN))


def _turn(at: SharedProject, user_id: str) -> Interruption:
    """Grants a role in the team and revokes it, by turns."""

    async def turn() -> None:
        change = at.now.teams.grant if at.fixture.times % 2 else at.now.teams.take
        await change(admin(), at.team.id, user_id, LEADER)

    return turn


async def _commits_at_once(
    at: SharedProject, operation: Operation, *, by: str, meanwhile: Interruption
) -> None:
    """Runs an operation with a concurrent change before each of its commits; the first attempt succeeds."""
    times = RETRIES_MAX + 1
    before = await _newest_by(at, by)
    at.fixture.interrupt(meanwhile, times=times)
    await operation(at, at.interrupted)
    assert at.fixture.times == times - 1
    assert await _newest_by(at, by) != before


async def _newest_by(at: SharedProject, actor_id: str) -> Any:
    """The latest entry of a user."""
    entries = [entry for entry in (await at.fixture.stored())["audit_logs"] if entry["actorId"] == actor_id]
    return max(entries, key=lambda entry: (entry["at"], entry["id"]))
