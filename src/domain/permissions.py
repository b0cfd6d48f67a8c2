"""Who may do what. Decided here, raised in `application.authorization`."""

from enum import StrEnum

from domain.label import Label
from domain.project import Project
from domain.task import Task
from domain.user import User


class Grant(StrEnum):
    """What an actor holds beyond his own things. Team scopes join here."""

    ADMIN = "admin"


Grants = frozenset[str]


def is_admin(grants: Grants) -> bool:
    """Whether these grants cover the whole installation."""
    return Grant.ADMIN in grants


def may_see_project(actor_id: str, grants: Grants, project: Project) -> bool:
    """Owners see their projects, administrators all."""
    return project.owner_id == actor_id or is_admin(grants)


def may_change_project(actor_id: str, grants: Grants, project: Project) -> bool:
    """Owners change their projects, administrators all."""
    return project.owner_id == actor_id or is_admin(grants)


def may_see_task(actor_id: str, grants: Grants, task: Task, project: Project | None) -> bool:
    """Whoever made a task, owns its project or administers the installation sees it."""
    owns_project = project is not None and project.owner_id == actor_id
    return task.created_by == actor_id or owns_project or is_admin(grants)


def may_change_task(actor_id: str, grants: Grants, task: Task, project: Project | None) -> bool:
    """In a project its owner changes tasks; without one, whoever made the task. Administrators change all."""
    owner_id = task.created_by if project is None else project.owner_id
    return owner_id == actor_id or is_admin(grants)


def may_change_label(actor_id: str, grants: Grants, label: Label) -> bool:
    """Labels are shared: everybody uses them, their makers and administrators change them."""
    return label.created_by == actor_id or is_admin(grants)


def may_change_user(actor_id: str, grants: Grants, user: User) -> bool:
    """Everybody edits his own profile, administrators all."""
    return user.id == actor_id or is_admin(grants)
