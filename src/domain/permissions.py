"""Who may do what. Decided here, raised in `application.access`; docs/permissions.md shows it as one table."""

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
    """What somebody holds in the whole installation, as his tokens say it."""

    ADMIN = "admin"
    MODERATOR = "moderator"


Grants = frozenset[str]
Held = frozenset[Permission]

GRANT_OF = {Permission.ADMINISTER: Grant.ADMIN, Permission.MODERATE: Grant.MODERATOR}
"""What a role of scope GLOBAL gives."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody before a decision: who he is, what he holds everywhere, and his teams with what he holds in each.

    A team he does not belong to is missing; a plain member holds nothing beyond belonging to it.
    """

    user_id: str
    grants: Grants
    teams: Mapping[str, Held] = field(default_factory=dict)

    def is_member(self, team_id: str | None) -> bool:
        """Whether he belongs to the team at present."""
        return team_id in self.teams

    def holds(self, permission: Permission, team_id: str | None) -> bool:
        """Whether he holds the permission in the team."""
        return team_id is not None and permission in self.teams.get(team_id, ())


def is_admin(grants: Grants) -> bool:
    """Whether these grants cover the whole installation."""
    return Grant.ADMIN in grants


def sees_everything(grants: Grants) -> bool:
    """Whether nothing that people work on is hidden."""
    return Grant.ADMIN in grants or Grant.MODERATOR in grants


# --- projects and their timelines ----------------------------------------------------------------


def may_see_project(principal: Principal, project: Project) -> bool:
    """Its owner and the members of its team."""
    is_his = project.owner_id == principal.user_id or principal.is_member(project.team_id)
    return is_his or sees_everything(principal.grants)


def may_change_project(principal: Principal, project: Project) -> bool:
    """Its owner, and who changes projects in its team."""
    is_his = project.owner_id == principal.user_id
    is_his = is_his or principal.holds(Permission.CHANGE_PROJECTS, project.team_id)
    return is_his or sees_everything(principal.grants)


def may_give_project(principal: Principal, project: Project) -> bool:
    """Into other hands, another owner's or another team's: its owner alone."""
    return project.owner_id == principal.user_id or is_admin(principal.grants)


def may_put_in_team(principal: Principal, team_id: str | None) -> bool:
    """A project goes only to a team that its giver belongs to."""
    return team_id is None or principal.is_member(team_id) or is_admin(principal.grants)


# --- tasks ---------------------------------------------------------------------------------------


def may_see_task(principal: Principal, task: Task) -> bool:
    """Whoever it belongs to, and whoever is to do it: users, and all members of teams. Who has left a team sees nothing
    of what he did there.
    """
    is_his = task.owner_id == principal.user_id or principal.is_member(task.team_id)
    return is_his or is_assigned(principal, task) or sees_everything(principal.grants)


def is_assigned(principal: Principal, task: Task) -> bool:
    """Whether the task is given to him or to a team of his."""
    if task.assignee_type is AssigneeType.TEAM:
        return principal.is_member(task.assignee_id)
    return task.assignee_id == principal.user_id


def may_change_task(principal: Principal, task: Task) -> bool:
    """Everybody who sees a task works on it."""
    return may_see_task(principal, task)


def may_add_task(principal: Principal, project: Project) -> bool:
    """Everybody who sees a project adds tasks to it."""
    return may_see_project(principal, project)


def may_delete_task(principal: Principal, task: Task) -> bool:
    """Into the trash and back: whose it is, who made it as long as he sees it, and who changes projects in its team."""
    is_his = task.owner_id == principal.user_id
    is_his = is_his or (task.created_by == principal.user_id and may_see_task(principal, task))
    is_his = is_his or principal.holds(Permission.CHANGE_PROJECTS, task.team_id)
    return is_his or sees_everything(principal.grants)


def may_move_task(principal: Principal, task: Task) -> bool:
    """Out of its project or into another, which gives it into other hands: who may delete it."""
    return may_delete_task(principal, task)


def may_assign_task(principal: Principal, task: Task) -> bool:
    """To somebody else: whoever may delete it, and who assigns tasks in its team."""
    return may_delete_task(principal, task) or principal.holds(Permission.ASSIGN_TASKS, task.team_id)


def may_give_task(principal: Principal, task: Task, assignee: Assignee) -> bool:
    """To others: who may assign it. To himself, as long as nobody has it: whoever works on it."""
    takes_it = task.assignee is None and assignee == Assignee(principal.user_id, AssigneeType.USER)
    return may_assign_task(principal, task) or (takes_it and may_change_task(principal, task))


def may_give_to_team(principal: Principal, task: Task, team_id: str) -> bool:
    """A team gets tasks from its members, and those of its own projects from whoever may assign them."""
    return principal.is_member(team_id) or task.team_id == team_id or is_admin(principal.grants)


def may_end_assignment(principal: Principal, task: Task) -> bool:
    """Who may assign the task, and the user who has it, for himself."""
    is_his = task.assignee == Assignee(principal.user_id, AssigneeType.USER)
    return is_his or may_assign_task(principal, task)


def may_choose_executor(principal: Principal, task: Task, executor_id: str | None) -> bool:
    """Within the assigned team: every member for himself, and gives up himself; who assigns tasks there for others."""
    if task.assignee_type is not AssigneeType.TEAM:
        return False
    is_for_himself = principal.is_member(task.assignee_id) and (
        executor_id == principal.user_id or (executor_id is None and task.executor_id == principal.user_id)
    )
    assigns_there = principal.holds(Permission.ASSIGN_TASKS, task.assignee_id)
    return is_for_himself or assigns_there or may_assign_task(principal, task)


# --- teams and roles -----------------------------------------------------------------------------


def may_see_team(principal: Principal, team: Team) -> bool:
    """Its members; its owner also while it is in the trash."""
    is_his = principal.is_member(team.id) or team.owner_id == principal.user_id
    return is_his or sees_everything(principal.grants)


def may_change_team(principal: Principal, team: Team) -> bool:
    """Its name, description and contact."""
    return principal.holds(Permission.CHANGE_TEAM, team.id) or _owns(principal, team)


def may_give_team(principal: Principal, team: Team) -> bool:
    """To another owner, into the trash, and back: its owner alone."""
    return _owns(principal, team)


def may_change_members(principal: Principal, team: Team) -> bool:
    """Invite, add and remove others; everybody may leave by himself."""
    return principal.holds(Permission.CHANGE_MEMBERS, team.id) or _owns(principal, team)


def may_grant(principal: Principal, team: Team, permissions: Iterable[Permission]) -> bool:
    """Roles in the team: who grants roles there, and of them only what he holds himself."""
    if is_admin(principal.grants):
        return True
    held = principal.teams.get(team.id, frozenset())
    return Permission.GRANT_ROLES in held and held.issuperset(permissions)


def may_see_team_roles(principal: Principal, user_id: str, team_id: str) -> bool:
    """What somebody holds in a team: he, and whoever belongs to it."""
    return user_id == principal.user_id or principal.is_member(team_id) or sees_everything(principal.grants)


def may_see_global_roles(principal: Principal, user_id: str) -> bool:
    """What somebody holds everywhere: he, and the administrators."""
    return user_id == principal.user_id or is_admin(principal.grants)


def _owns(principal: Principal, team: Team) -> bool:
    return team.owner_id == principal.user_id or is_admin(principal.grants)


# --- labels and users ----------------------------------------------------------------------------


def may_change_label(principal: Principal, label: Label) -> bool:
    """Labels are shared: everybody uses them, their makers change them."""
    return label.created_by == principal.user_id or sees_everything(principal.grants)


def may_change_user(principal: Principal, user: User) -> bool:
    """Everybody edits his own profile."""
    return user.id == principal.user_id or is_admin(principal.grants)


def may_see_contact(principal: Principal, user: User) -> bool:
    """E-mail addresses and grants are between a user and the administrators."""
    return user.id == principal.user_id or is_admin(principal.grants)
