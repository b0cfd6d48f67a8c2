"""A team with members, a project, labels and tasks, stored for tests."""

from dataclasses import dataclass, field

from application.ports.unit_of_work import Begin
from domain.assignment import Assignee, AssigneeType, TaskAssignment
from domain.entity import Stamp
from domain.label import Label
from domain.project import Project
from domain.role import Permission, Role, RoleScope
from domain.task import Ownership, Task, TaskChanges, ownership_in
from domain.team import Membership, Team
from domain.user import User
from tests.unit.builders import ANNA, BEN, NOON, actor, numbered_id

MEMBER = BEN
ASSIGNEE = "c" * 24
STRANGER = "e" * 24
NAMES = {ANNA: "Anna Berg", BEN: "Ben Berg", ASSIGNEE: "Cleo", STRANGER: "Eve"}

TEAM = numbered_id(0x10)
PROJECT = numbered_id(0x11)
ROLE = numbered_id(0x12)
LABELS = tuple(numbered_id(0x20 + number) for number in range(3))
TASKS = tuple(numbered_id(0x100 + number) for number in range(20))


@dataclass(frozen=True, slots=True)
class TeamProject:
    """Anna owns the project and the team; Ben is a member with a custom role.

    The first task is assigned to Cleo, the second to the team with Ben as executor; the others are unassigned. All have
    labels.
    """

    begin: Begin
    stamp: Stamp = field(default_factory=lambda: Stamp(NOON, ANNA))

    async def store(self) -> None:
        """Stores all records."""
        work = self.begin(actor())
        for id_, name in NAMES.items():
            address = f"{name.split()[0].lower()}@example.org"
            work.users.save(User.create(id_, Stamp(NOON, id_), email=address, name=name))
        helper = {"name": "helper", "permissions": (Permission.ASSIGN_TASKS,)}
        work.roles.save(Role.create(ROLE, self.stamp, scope=RoleScope.TEAM, changes=helper))  # type: ignore[arg-type]
        work.teams.save(Team.create(TEAM, self.stamp, owner_id=ANNA, changes={"name": "Gardeners"}))
        for user_id in (ANNA, MEMBER):
            membership = Membership.create(self.stamp, team_id=TEAM, user_id=user_id)
            work.memberships.save(membership)
        for number, id_ in enumerate(LABELS):
            work.labels.save(Label.create(id_, self.stamp, {"name": f"label {number}"}))
        changes = {"name": "Garden", "team_id": TEAM}
        project = Project.create(PROJECT, self.stamp, owner_id=ANNA, changes=changes)  # type: ignore[arg-type]
        work.projects.save(project)
        for number, id_ in enumerate(TASKS):
            work.tasks.save(self._task(id_, number, ownership_in(project)))
        await work.commit()
        await self._assign()
        await self._promote()

    def _task(self, id_: str, number: int, ownership: Ownership) -> Task:
        changes: TaskChanges = {
            "title": f"Bed {number}",
            "project_id": PROJECT,
            "label_ids": (LABELS[number % 3], LABELS[(number + 1) % 3]),
        }
        return Task.create(id_, self.stamp, changes, ownership=ownership, display_id=number + 1)

    async def _assign(self) -> None:
        work = self.begin(actor())
        to_cleo = TaskAssignment.create(
            numbered_id(0x30),
            self.stamp,
            task_id=TASKS[0],
            assignee=Assignee(ASSIGNEE, AssigneeType.USER),
        )
        to_team = TaskAssignment.create(
            numbered_id(0x31), self.stamp, task_id=TASKS[1], assignee=Assignee(TEAM, AssigneeType.TEAM)
        )
        tasks = await work.tasks.get_many(TASKS[:2])
        work.assignments.save(to_cleo)
        work.tasks.save(tasks[TASKS[0]].assigned(self.stamp, to_cleo))
        work.assignments.save(to_team)
        work.tasks.save(tasks[TASKS[1]].assigned(self.stamp, to_team))
        await work.commit()
        work = self.begin(actor())
        taken = (await work.assignments.get(to_team.id)).executed_by(self.stamp, MEMBER)
        work.assignments.save(taken)
        work.tasks.save((await work.tasks.get(TASKS[1])).assigned(self.stamp, taken))
        await work.commit()

    async def _promote(self) -> None:
        work = self.begin(actor())
        for membership in await work.memberships.of_team(TEAM):
            if membership.user_id == MEMBER:
                work.memberships.save(membership.with_role(self.stamp, ROLE))
        await work.commit()
