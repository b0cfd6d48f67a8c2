"""The permission rules. `application.access` enforces them; docs/permissions.md shows them as one table."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from domain.assignment import Assignee, AssigneeType
from domain.label import Label
from domain.project import Project
from domain.role import Permission
from domain.task import Task
from domain.team import Team
from domain.user import User


class Grant(StrEnum):
    """A permission of an account in the whole installation, as its access tokens state it."""

    ADMIN = "admin"
    MODERATOR = "moderator"


Grants = frozenset[str]
Held = frozenset[Permission]


class NotedGrants(Grants):
    """Grants that note on which of them decisions rested, so that the commit can check these again.

    A decision that the user's own rights allow never looks for a grant.
    """

    def __init__(self, _grants: Iterable[str] = ()) -> None:
        super().__init__()
        self.used: set[object] = set()

    def __contains__(self, grant: object) -> bool:
        is_held = super().__contains__(grant)
        if is_held:
            self.used.add(grant)
        return is_held


GRANT_OF = {Permission.ADMINISTER: Grant.ADMIN, Permission.MODERATE: Grant.MODERATOR}
"""The grant that each permission of a GLOBAL role gives."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A user with their rights: grants, and the permissions held in each team that they belong to.

    A team that they do not belong to is missing; a plain member has a team with no permissions.
    """

    user_id: str
    grants: Grants
    teams: Mapping[str, Held] = field(default_factory=dict)

    def is_member(self, team_id: str | None) -> bool:
        """Whether they belong to the team."""
        return team_id in self.teams

    def holds(self, permission: Permission, team_id: str | None) -> bool:
        """Whether they hold the permission in the team."""
        return team_id is not None and permission in self.teams.get(team_id, ())


def is_admin(grants: Grants) -> bool:
    """Whether these grants cover the whole installation."""
    return Grant.ADMIN in grants


def sees_everything(grants: Grants) -> bool:
    """Whether all projects, tasks and teams are visible."""
    return Grant.ADMIN in grants or Grant.MODERATOR in grants


# --- projects and their timelines ----------------------------------------------------------------


def may_see_project(principal: Principal, project: Project) -> bool:
    """The project's owner and the members of its team."""
    is_theirs = project.owner_id == principal.user_id or principal.is_member(project.team_id)
    return is_theirs or sees_everything(principal.grants)


def may_change_project(principal: Principal, project: Project) -> bool:
    """The project's owner, and members of its team with CHANGE_PROJECTS."""
    is_theirs = project.owner_id == principal.user_id
    is_theirs = is_theirs or principal.holds(Permission.CHANGE_PROJECTS, project.team_id)
    return is_theirs or sees_everything(principal.grants)


def may_give_project(principal: Principal, project: Project) -> bool:
    """Change the owner or the team of a project: only its owner."""
    return project.owner_id == principal.user_id or is_admin(principal.grants)


def may_put_in_team(principal: Principal, team_id: str | None) -> bool:
    """Put a project in a team: only members of that team."""
    return team_id is None or principal.is_member(team_id) or is_admin(principal.grants)


# --- tasks ---------------------------------------------------------------------------------------


def may_see_task(principal: Principal, task: Task) -> bool:
    """The owner and the assignee of a task, and all members of its team and of the assigned team. Former members no
    longer see what they did in a team.
    """
    is_theirs = task.owner_id == principal.user_id or principal.is_member(task.team_id)
    return is_theirs or is_assigned(principal, task) or sees_everything(principal.grants)


def is_assigned(principal: Principal, task: Task) -> bool:
    """Whether the task is assigned to the user or to one of their teams."""
    if task.assignee_type is AssigneeType.TEAM:
        return principal.is_member(task.assignee_id)
    return task.assignee_id == principal.user_id


def may_change_task(principal: Principal, task: Task) -> bool:
    """Everybody who may see a task may edit it."""
    return may_see_task(principal, task)


def may_add_task(principal: Principal, project: Project) -> bool:
    """Everybody who may see a project may add tasks to it."""
    return may_see_project(principal, project)


def may_delete_task(principal: Principal, task: Task) -> bool:
    """Delete or restore: the owner, the creator while they may see the task, and CHANGE_PROJECTS in its team."""
    is_theirs = task.owner_id == principal.user_id
    is_theirs = is_theirs or (task.created_by == principal.user_id and may_see_task(principal, task))
    is_theirs = is_theirs or principal.holds(Permission.CHANGE_PROJECTS, task.team_id)
    return is_theirs or sees_everything(principal.grants)


def may_move_task(principal: Principal, task: Task) -> bool:
    """Move a task out of its project or into another one, which changes its ownership: as for deleting it."""
    return may_delete_task(principal, task)


def may_assign_task(principal: Principal, task: Task) -> bool:
    """Assign a task to anybody: as for deleting it, and ASSIGN_TASKS in its team."""
    return may_delete_task(principal, task) or principal.holds(Permission.ASSIGN_TASKS, task.team_id)


def may_give_task(principal: Principal, task: Task, assignee: Assignee) -> bool:
    """Assign a task to this assignee: who may assign it; everybody who may edit it may take an unassigned task."""
    takes_it = task.assignee is None and assignee == Assignee(principal.user_id, AssigneeType.USER)
    return may_assign_task(principal, task) or (takes_it and may_change_task(principal, task))


def may_give_to_team(principal: Principal, task: Task, team_id: str) -> bool:
    """Assign a task to this team: its members; tasks of its own projects, everybody who may assign them."""
    return principal.is_member(team_id) or task.team_id == team_id or is_admin(principal.grants)


def may_end_assignment(principal: Principal, task: Task) -> bool:
    """End the assignment: the assigned user, and everybody who may assign the task."""
    is_theirs = task.assignee == Assignee(principal.user_id, AssigneeType.USER)
    return is_theirs or may_assign_task(principal, task)


def may_choose_executor(principal: Principal, task: Task, executor_id: str | None) -> bool:
    """Name the executor in the assigned team: members name or withdraw themselves, ASSIGN_TASKS names others."""
    if task.assignee_type is not AssigneeType.TEAM:
        return False
    is_own_choice = principal.is_member(task.assignee_id) and (
        executor_id == principal.user_id or (executor_id is None and task.executor_id == principal.user_id)
    )
    may_assign_there = principal.holds(Permission.ASSIGN_TASKS, task.assignee_id)
    return is_own_choice or may_assign_there or may_assign_task(principal, task)


# --- teams and roles -----------------------------------------------------------------------------


def may_see_team(principal: Principal, team: Team) -> bool:
    """The team's members; its owner also when it is in the trash."""
    is_theirs = principal.is_member(team.id) or team.owner_id == principal.user_id
    return is_theirs or sees_everything(principal.grants)


def may_change_team(principal: Principal, team: Team) -> bool:
    """Change the name, description and contact: CHANGE_TEAM, and the owner."""
    return principal.holds(Permission.CHANGE_TEAM, team.id) or _owns(principal, team)


def may_give_team(principal: Principal, team: Team) -> bool:
    """Change the owner, delete or restore: only the owner."""
    return _owns(principal, team)


def may_change_members(principal: Principal, team: Team) -> bool:
    """Invite, add and remove members: CHANGE_MEMBERS, and the owner. Everybody may leave."""
    return principal.holds(Permission.CHANGE_MEMBERS, team.id) or _owns(principal, team)


def may_grant(principal: Principal, team: Team, permissions: Iterable[Permission]) -> bool:
    """Grant or revoke a role with these permissions: members with GRANT_ROLES who hold all of them."""
    if is_admin(principal.grants):
        return True
    held = principal.teams.get(team.id, frozenset())
    return Permission.GRANT_ROLES in held and held.issuperset(permissions)


def may_see_team_roles(principal: Principal, user_id: str, team_id: str) -> bool:
    """See the roles of a user in a team: the user, and the team's members."""
    return user_id == principal.user_id or principal.is_member(team_id) or sees_everything(principal.grants)


def may_see_global_roles(principal: Principal, user_id: str) -> bool:
    """See the global roles of a user: the user, and administrators."""
    return user_id == principal.user_id or is_admin(principal.grants)


def _owns(principal: Principal, team: Team) -> bool:
    return team.owner_id == principal.user_id or is_admin(principal.grants)


# --- labels and users ----------------------------------------------------------------------------


def may_change_label(principal: Principal, label: Label) -> bool:
    """Change a label: its creator. Everybody may use it."""
    return label.created_by == principal.user_id or sees_everything(principal.grants)


def may_change_user(principal: Principal, user: User) -> bool:
    """Edit a profile: the user themselves, and administrators."""
    return user.id == principal.user_id or is_admin(principal.grants)


def may_see_contact(principal: Principal, user: User) -> bool:
    """See the e-mail address and grants of a user: the user, and administrators."""
    return user.id == principal.user_id or is_admin(principal.grants)
