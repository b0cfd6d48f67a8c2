"""The world of docs/permissions.md: everybody who may ask, and everything they may ask for."""

from dataclasses import dataclass, replace
from functools import partial

from adapters.records.record_store import RecordStore
from adapters.repositories.unit_of_work import StoredUnitOfWork
from adapters.system.identifiers import SortableIdentifiers
from application.actor import system_actor
from application.ports.unit_of_work import UnitOfWork
from domain.api_token import ApiToken, Scope
from domain.assignment import Assignee, AssigneeType, TaskAssignment
from domain.entity import Stamp
from domain.label import Label
from domain.project import Project, ProjectChanges
from domain.role import BUILT_IN_ROLES, Role, RoleChanges, RoleScope, built_in_id
from domain.task import Ownership, Task, TaskChanges, TaskStatus, ownership_in
from domain.team import Membership, Team
from domain.timeline import Plan, Timeline, TimelineItem
from domain.user import User
from domain.watch import Watch
from tests.unit.builders import NOON, numbered_id
from tests.unit.entrypoints.http.scripted_move import HELD, JOB_ID
from tests.unit.entrypoints.http.service import failed_entry

EARLIER = NOON.replace(year=2025)
STAMP = Stamp(EARLIER, numbered_id(0xFF))

CALLERS = (
    "nobody",
    "stranger",
    "former",
    "rival",
    "member",
    "team admin",
    "team owner",
    "project owner",
    "creator",
    "assignee",
    "helper",
    "executor",
    "moderator",
    "admin",
)
OTHERS = ("second helper", "helpers' owner", "rivals' owner")
USERS = {name: numbered_id(number) for number, name in enumerate((*CALLERS[1:], *OTHERS), start=0x100)}
GRANTS = {"moderator": ("moderator",), "admin": ("admin",)}
THINGS = {
    name: numbered_id(number)
    for number, name in enumerate(
        (
            "team",
            "helpers",
            "rivals",
            "trashed team",
            "project",
            "trashed project",
            "task",
            "trashed task",
            "given task",
            "own task",
            "assignment",
            "user assignment",
            "label",
            "trashed assignment",
            "trashed label",
            "archivist role",
            "api token",
        ),
        start=0x200,
    )
}
ROLES = {
    "team admin role": built_in_id(RoleScope.TEAM, "admin"),
    "moderator role": built_in_id(RoleScope.GLOBAL, "moderator"),
}
IDS = {
    **USERS,
    **THINGS,
    **ROLES,
    "parked task": failed_entry(1).entity_id,
    "quarantined task": HELD.id,
    "step": JOB_ID,
}
"""Every name that stands in braces in the table."""

MEMBERS: dict[str, dict[str, str | None]] = {
    "team": {"team owner": "owner", "team admin": "admin", "member": None, "creator": None},
    "helpers": {"helpers' owner": "owner", "helper": None, "second helper": None, "executor": None},
    "rivals": {"rivals' owner": "owner", "rival": "admin"},
    "trashed team": {"team owner": "owner", "team admin": "admin", "member": None, "creator": None},
}
OWNERS = {
    "team": "team owner",
    "helpers": "helpers' owner",
    "rivals": "rivals' owner",
    "trashed team": "team owner",
}


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes things in the name of whoever they belong to."""

    store: RecordStore

    def begin(self) -> UnitOfWork:
        return StoredUnitOfWork(self.store, SortableIdentifiers(), system_actor("world"))


async def make_world(store: RecordStore) -> None:
    """Fills an empty store."""
    begin = partial(_Maker(store).begin)
    work = begin()
    _people(work)
    _teams(work)
    _things(work)
    await work.commit()
    await _second_versions(begin())
    await _into_the_trash(begin())


def _people(work: UnitOfWork) -> None:
    for name, id_ in USERS.items():
        address = f"{id_}@example.org"
        work.users.save(User.create(id_, STAMP, email=address, name=name, grants=GRANTS.get(name, ())))
    for scope, name, description, permissions in BUILT_IN_ROLES:
        role = Role.create(
            built_in_id(scope, name),
            STAMP,
            scope=scope,
            changes={"name": name, "description": description, "permissions": tuple(permissions)},
        )
        work.roles.save(role)


def _teams(work: UnitOfWork) -> None:
    for team, members in MEMBERS.items():
        owner_id = USERS[OWNERS[team]]
        work.teams.save(Team.create(THINGS[team], STAMP, owner_id=owner_id, changes={"name": team}))
        for name, role in members.items():
            member = Membership.create(STAMP, team_id=THINGS[team], user_id=USERS[name])
            if role is not None:
                member = replace(member, role_ids=(built_in_id(RoleScope.TEAM, role),))
            work.memberships.save(member)
    work.memberships.save(Membership.create(STAMP, team_id=THINGS["team"], user_id=USERS["former"]))


def _things(work: UnitOfWork) -> None:
    owner_id = USERS["project owner"]
    for name in ("project", "trashed project"):
        changes: ProjectChanges = {"name": name, "team_id": THINGS["team"]}
        work.projects.save(Project.create(THINGS[name], STAMP, owner_id=owner_id, changes=changes))
    by_creator = Stamp(EARLIER, USERS["creator"])
    ownership = Ownership(owner_id, THINGS["team"])
    for number, name in enumerate(("task", "trashed task", "given task"), start=1):
        changes_: TaskChanges = {"title": name, "project_id": THINGS["project"]}
        work.tasks.save(
            Task.create(THINGS[name], by_creator, changes_, ownership=ownership, display_id=number)
        )
    work.tasks.save(Task.create(THINGS["own task"], by_creator, {"title": "own task"}, display_id=4))
    for name in ("label", "trashed label"):
        work.labels.save(Label.create(THINGS[name], by_creator, {"name": name}))
    work.api_tokens.save(
        ApiToken.create(
            THINGS["api token"],
            by_creator,
            name="ci",
            scopes=(Scope.READ,),
            token_hash="0" * 64,
            expires_at=None,
        )
    )
    archivist: RoleChanges = {"name": "archivist", "description": "Files", "permissions": ()}
    work.roles.save(Role.create(THINGS["archivist role"], STAMP, scope=RoleScope.TEAM, changes=archivist))
    work.timelines.save(Timeline.create(THINGS["project"], STAMP, Plan()))


async def _second_versions(work: UnitOfWork) -> None:
    """What is given away, left and renamed: everything that can be rolled back has a version to go back to."""
    later = Stamp(EARLIER.replace(month=2), USERS["creator"])
    team, project = await work.teams.get(THINGS["team"]), await work.projects.get(THINGS["project"])
    work.teams.save(team.edit(later, {"name": "Crew"}))
    work.projects.save(project.edit(later, {"name": "Garden"}))
    assert ownership_in(project).team_id == team.id
    timeline = await work.timelines.get(project.id)
    work.timelines.save(timeline.save(later, Plan(items=(TimelineItem(id="a", title="Dig", duration=2),))))
    work.watches.save(Watch.create(later, user_id=USERS["assignee"], task_id=THINGS["task"]))
    former = next(one for one in await work.memberships.of_team(team.id) if one.user_id == USERS["former"])
    work.memberships.save(former.leave(later))
    given = {
        "task": ("user assignment", Assignee(USERS["assignee"], AssigneeType.USER)),
        "trashed task": ("trashed assignment", Assignee(USERS["assignee"], AssigneeType.USER)),
        "given task": ("assignment", Assignee(THINGS["helpers"], AssigneeType.TEAM)),
    }
    for name, (assignment_name, assignee) in given.items():
        task = await work.tasks.get(THINGS[name])
        made = TaskAssignment.create(THINGS[assignment_name], later, task_id=task.id, assignee=assignee)
        if assignee.type is AssigneeType.TEAM:
            made = replace(made, executor_id=USERS["executor"])
        work.assignments.save(made)
        work.tasks.save(task.assigned(later, made))
    await work.commit()


async def _into_the_trash(work: UnitOfWork) -> None:
    stamp = Stamp(EARLIER.replace(month=3), USERS["team owner"])
    work.tasks.save((await work.tasks.get(THINGS["trashed task"])).discard(stamp))
    work.assignments.save((await work.assignments.get(THINGS["trashed assignment"])).delete(stamp))
    work.projects.save((await work.projects.get(THINGS["trashed project"])).delete(stamp))
    work.labels.save((await work.labels.get(THINGS["trashed label"])).delete(stamp))
    work.teams.save((await work.teams.get(THINGS["trashed team"])).delete(stamp))
    for member in await work.memberships.of_team(THINGS["trashed team"]):
        work.memberships.save(member.delete(stamp))
    task = await work.tasks.get(THINGS["own task"])
    work.tasks.save(task.edit(stamp, {"status": TaskStatus.TODO}))
    await work.commit()
