"""The use cases of teams and roles, with and without a concurrent change before their commits."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from adapters.auth.invite_codes import InviteCodes
from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from application.actor import Actor, system_actor
from application.paging import PageRequest, Sort
from application.ports.unit_of_work import Begin
from application.teams import commands as teams
from application.teams import granting, roles
from application.teams import members as team_members
from domain.assignment import Assignee, AssigneeType, TaskAssignment
from domain.entity import Stamp
from domain.task import Task, TaskChanges
from domain.team import Membership, Team, membership_id
from domain.user import User
from tests.unit.builders import ANNA, BEN, NOON, actor
from tests.unit.faults import FaultyStore, Moment, Step, open_gate
from tests.unit.memory_store import MemoryRecordStore

CARL, DORA, EVE, ADMIN = "c" * 24, "1" * 24, "e" * 24, "d" * 24
NAMES = {ANNA: "Anna", BEN: "Ben", CARL: "Carl", DORA: "Dora", EVE: "Eve", ADMIN: "Admin"}
NEWEST = PageRequest(sort=Sort("at", descending=True), limit=100)
BEFORE_COMMIT = Step("memory", "commit", Moment.BEFORE)

Interruption = Callable[[], Awaitable[Any]]


class SettableClock:
    """The port Clock: one second later at each reading; tests may set it."""

    def __init__(self) -> None:
        self.instant = NOON

    def now(self) -> datetime:
        self.instant += timedelta(seconds=1)
        return self.instant


class TeamUseCases:
    """The use cases of teams and roles."""

    def __init__(self, begin: Begin, clock: SettableClock) -> None:
        identifiers, invitations = SortableIdentifiers(), InviteCodes(b"secret of the tests")
        self.begin = begin
        self.create = teams.CreateTeam(begin, clock, identifiers)
        self.get, self.find = teams.GetTeam(begin), teams.ListTeams(begin)
        self.edit, self.delete = teams.EditTeam(begin, clock), teams.DeleteTeam(begin, clock)
        self.restore, self.roll_back = teams.RestoreTeam(begin, clock), teams.RollBackTeam(begin, clock)
        self.members, self.add = team_members.ListMembers(begin), team_members.AddMembers(begin, clock)
        self.remove = team_members.RemoveMember(begin, clock)
        self.invite = team_members.InviteToTeam(begin, clock, invitations)
        self.revoke = team_members.RevokeInvitations(begin, clock)
        self.join = team_members.JoinTeam(begin, clock, invitations)
        self.activity = team_members.ListTeamActivity(begin)
        self.new_role = roles.CreateRole(begin, clock, identifiers)
        self.edit_role, self.delete_role = roles.EditRole(begin, clock), roles.DeleteRole(begin, clock)
        self.roles, self.seed = roles.ListRoles(begin), roles.SeedRoles(begin, clock)
        self.held = granting.ListRolesOfUser(begin)
        self.grant_global = granting.GrantGlobalRole(begin, clock)
        self.take_global = granting.TakeGlobalRole(begin, clock)
        self.grant = granting.GrantTeamRole(begin, clock)
        self.take = granting.TakeTeamRole(begin, clock)


class TeamFixture:
    """The use cases: `now` as they are, `interrupted` with `interruption` before each of the next `times` commits."""

    def __init__(self) -> None:
        self.memory, self.clock = MemoryRecordStore(), SettableClock()
        self.interruption: Interruption | None = None
        self.times = 0
        identifiers = SortableIdentifiers()
        self.now = TeamUseCases(partial(StoredUnitOfWork, self.memory, identifiers), self.clock)
        interrupted = partial(StoredUnitOfWork, FaultyStore(self.memory, self._gate), identifiers)
        self.interrupted = TeamUseCases(interrupted, self.clock)

    async def open(self) -> None:
        """Stores the built-in roles and the users; only the administrator has a grant."""
        await self.now.seed(system_actor("start"))
        work = self.now.begin(actor())
        for id, name in NAMES.items():
            grants = ("admin",) if id == ADMIN else ()
            email = f"{name.lower()}@example.org"
            work.users.save(User.create(id, Stamp(NOON, id), email=email, name=name, grants=grants))
        await work.commit()

    async def team(self, *member_ids: str) -> Team:
        """Anna's team, with these members as well."""
        made = await self.now.create(actor(), {"name": "Gardeners"})
        if member_ids:
            await self.now.add(actor(), made.id, member_ids)
        return made

    async def rename(self, user_id: str) -> None:
        """Renames a user, which does not change their rights."""
        work = self.now.begin(actor())
        user = await work.users.get(user_id)
        work.users.save(
            user.edit(Stamp(self.clock.now(), user_id), {"name": f"{NAMES[user_id]} {user.version}"})
        )
        await work.commit()

    async def taken_task(
        self, id: str, team: Team, executor_id: str, changes: TaskChanges | None = None
    ) -> None:
        """Stores a task of Anna's that is assigned to the team and has an executor."""
        stamp = Stamp(self.clock.now(), ANNA)
        assignee = Assignee(team.id, AssigneeType.TEAM)
        assignment = TaskAssignment.create(id[::-1], stamp, task_id=id, assignee=assignee)
        work = self.now.begin(actor())
        work.tasks.save(Task.create(id, stamp, {"title": "Dig", **(changes or {})}))
        work.assignments.save(assignment)
        await work.commit()
        work = self.now.begin(actor())
        taken = (await work.assignments.get(assignment.id)).executed_by(stamp, executor_id)
        work.assignments.save(taken)
        work.tasks.save((await work.tasks.get(id)).assigned(stamp, taken))
        await work.commit()

    async def executors(self, id: str) -> tuple[str | None, str | None]:
        """The executor of a task, according to the task and to its assignment."""
        work = self.now.begin(actor())
        assignment = await work.assignments.of_task(id)
        assert assignment is not None
        return (await work.tasks.get(id)).executor_id, assignment.executor_id

    async def membership(self, team: Team, user_id: str) -> Membership:
        return await self.now.begin(actor()).memberships.get(membership_id(team.id, user_id))

    async def member_ids(self, team: Team) -> set[str]:
        """The present members of the team."""
        return {one.user_id for one in await self.now.begin(actor()).memberships.of_team(team.id)}

    async def stored(self) -> dict[str, Any]:
        """All records that a rejected request must not change."""
        people = ("users", "roles", "teams", "team_members")
        names = (*people, "projects", "timelines", "tasks", "task_assignments", "audit_logs")
        return {name: await self.memory.scan(name, after=None, limit=5_000) for name in names}

    def interrupt(self, interruption: Interruption, *, times: int = 1) -> None:
        """Makes a concurrent change before the next commits of the interrupted use cases."""
        self.interruption, self.times = interruption, times

    async def _gate(self, step: Step) -> None:
        await open_gate(step)
        if step == BEFORE_COMMIT and self.times and self.interruption is not None:
            self.times -= 1
            await self.interruption()


def admin() -> Actor:
    return actor(ADMIN, admin=True)


def moderator() -> Actor:
    return Actor(id=EVE, grants=frozenset({"moderator"}), request_id="request-1")


async def at_once(*requests: Awaitable[Any]) -> list[BaseException]:
    """The errors of several concurrent requests."""
    outcomes = await asyncio.gather(*requests, return_exceptions=True)
    return [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
