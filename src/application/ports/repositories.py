"""The typed repositories: what the use cases may ask, entity by entity.

Everything read inside one unit of work is remembered there, so that saving knows what was before.
All methods that read raise StoreUnavailable where the store does not answer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from application.paging import Page, PageRequest
from domain.assignment import TaskAssignment
from domain.audit import Action, AuditEntry
from domain.entity import Entity, Stamp
from domain.label import Label
from domain.project import Project, ProjectStatus
from domain.role import Role, RoleScope
from domain.session import Session
from domain.task import Priority, Task, TaskStatus
from domain.team import Membership, Team
from domain.timeline import Timeline
from domain.user import User
from domain.watch import Watch

E = TypeVar("E", bound=Entity)


class Repository(Protocol[E]):
    """Entities of one kind."""

    async def get(self, id: str) -> E:
        """The entity, also from the trash. Raises NotFound, or Purged for what was removed for good."""
        ...

    async def get_many(self, ids: Iterable[str]) -> dict[str, E]:
        """Those of the ids that exist, trash included, by id."""
        ...

    async def changed_since(self, instant: datetime, page: PageRequest) -> Page[E]:
        """A page of what was changed at or after an instant, trash included; sorts by updatedAt."""
        ...

    async def at_version(self, id: str, version: int) -> E:
        """The entity as it was at an earlier version. Raises NotFound for a version that never was."""
        ...

    def save(self, entity: E, *, action: Action | None = None) -> None:
        """Takes a new version into the unit of work; nothing happens where it equals what was read.

        A new entity has version 1; any other must have been read in the same unit of work. The audit action follows
        from what changed unless it is named.
        """
        ...

    async def purged(self, ids: Iterable[str]) -> frozenset[str]:
        """Those of the ids that were removed for good."""
        ...

    async def trashed_before(self, instant: datetime, page: PageRequest) -> Page[E]:
        """A page of what went into the trash before an instant; sorts by deletedAt."""
        ...

    def erase(self, entity: E, stamp: Stamp) -> None:
        """Takes the removal of an entity for good into the unit of work: it never comes back, whatever is replayed.

        The entity must have been read in the same unit of work.
        """
        ...

    def rely_on(self, entity: E) -> None:
        """The commit fails with VersionConflict if this entity, which it does not change, changed since it was read."""
        ...


class Users(Repository[User], Protocol):
    """Accounts."""

    async def with_email(self, email: str) -> User | None:
        """The live user with this normalised address."""
        ...

    async def is_empty(self) -> bool:
        """Whether nobody ever signed in."""
        ...

    async def holding(self, grant: str) -> Sequence[User]:
        """Every live user who holds this grant."""
        ...

    async def search(self, text: str, page: PageRequest) -> Page[User]:
        """Live users whose name holds every word of the text, or the one whose whole address it is; all where it is
        empty. Sorts by createdAt.
        """
        ...


class Sessions(Repository[Session], Protocol):
    """Sign-ins."""

    async def of_user(self, user_id: str) -> Sequence[Session]:
        """Every session of a user that has not ended, whether or not its time is over."""
        ...

    async def over_before(self, instant: datetime, page: PageRequest) -> Page[Session]:
        """A page of sessions whose time was over before an instant; sorts by expiresAt."""
        ...


class Roles(Repository[Role], Protocol):
    """Roles."""

    async def matching(self, scope: RoleScope | None, page: PageRequest) -> Page[Role]:
        """A page of live roles; sorts by createdAt, updatedAt or name."""
        ...

    async def of_scope(self, scope: RoleScope) -> Sequence[Role]:
        """Every live role of a scope."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamFilter:
    """Which teams; None means whichever. `ids` restricts to these teams."""

    ids: tuple[str, ...] | None = None
    owner_id: str | None = None
    text: str | None = None
    deleted: bool = False


class Teams(Repository[Team], Protocol):
    """Teams."""

    async def matching(self, filters: TeamFilter, page: PageRequest) -> Page[Team]:
        """A page of teams; sorts by createdAt, updatedAt or name."""
        ...


class Memberships(Repository[Membership], Protocol):
    """Who belongs to which team; the id follows from both (`domain.team.membership_id`)."""

    async def of_user(self, user_id: str) -> Sequence[Membership]:
        """Every live membership of a user."""
        ...

    async def of_team(self, team_id: str) -> Sequence[Membership]:
        """Every live membership of a team; a team has at most MEMBERS_MAX."""
        ...

    async def count_of_team(self, team_id: str) -> int:
        """How many members a team has at present."""
        ...

    async def trashed_by(self, team_id: str, stamp: Stamp) -> Sequence[Membership]:
        """The memberships of a team that went into the trash under this stamp, as they do together with it."""
        ...

    async def ever_of_team(self, team_id: str) -> Sequence[Membership]:
        """Every membership of a team, also of those who left."""
        ...

    async def page_of_team(self, team_id: str, page: PageRequest) -> Page[Membership]:
        """A page of the live memberships of a team; sorts by createdAt."""
        ...


@dataclass(frozen=True, slots=True)
class Audience:
    """For whom a list is made: one user and the teams he belongs to."""

    user_id: str
    team_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFilter:
    """Which projects; None means whichever. `visible_to` keeps those that the audience owns or has in a team."""

    visible_to: Audience | None = None
    owner_id: str | None = None
    team_id: str | None = None
    status: ProjectStatus | None = None
    text: str | None = None
    deleted: bool = False


class Projects(Repository[Project], Protocol):
    """Projects."""

    async def of_team(self, team_id: str, *, limit: int) -> Sequence[Project]:
        """Some of the projects of a team, also from the trash; none where it has none."""
        ...

    async def matching(self, filters: ProjectFilter, page: PageRequest) -> Page[Project]:
        """A page of projects; sorts by createdAt, updatedAt or name."""
        ...


class Timelines(Repository[Timeline], Protocol):
    """Schedules; each has its project's id."""

    async def of_project(self, project_id: str) -> Timeline | None:
        """The project's timeline, None where none was saved yet."""
        ...

    async def version_at(self, project_id: str, at: datetime) -> int | None:
        """The number of the version that was current at an instant; None where there was none yet."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """Which tasks; None means whichever.

    `visible_to` keeps those that are the audience's or its teams' own, assigned to it or taken over by it. `ids`
    restricts to these tasks. `team_id` finds what is a team's own or assigned to it. `now` decides what is deferred:
    with `deferred` True only that, with False nothing of it. `is_assigned` keeps what is given to somebody.
    """

    visible_to: Audience | None = None
    ids: tuple[str, ...] | None = None
    team_id: str | None = None
    assignee_id: str | None = None
    executor_id: str | None = None
    is_assigned: bool = False
    deferred: bool | None = None
    now: datetime | None = None
    created_by: str | None = None
    project_id: str | None = None
    status: TaskStatus | None = None
    priority: Priority | None = None
    label_id: str | None = None
    due_before: datetime | None = None
    due_after: datetime | None = None
    text: str | None = None
    deleted: bool = False


class Tasks(Repository[Task], Protocol):
    """Tasks."""

    async def matching(self, filters: TaskFilter, page: PageRequest) -> Page[Task]:
        """A page of tasks; sorts by createdAt, updatedAt, dueAt, priority or displayId."""
        ...

    async def count(self, filters: TaskFilter) -> int:
        """How many tasks `matching` finds."""
        ...

    async def of_project(self, project_id: str) -> Sequence[Task]:
        """Every task of a project, also from the trash."""
        ...

    async def of_project_since(self, project_id: str, instant: datetime, *, limit: int) -> Sequence[Task]:
        """At most `limit` of a project's tasks that are live, or went to the trash at that instant or later."""
        ...

    async def some_of_project(self, project_id: str, *, limit: int) -> Sequence[Task]:
        """Some of the tasks of a project, also from the trash; none where it has none."""
        ...

    async def live_in_project(self, project_id: str) -> Sequence[Task]:
        """Every live task of a project."""
        ...

    async def children_of(self, task_ids: Sequence[str]) -> Sequence[Task]:
        """Every task below one of these, also from the trash."""
        ...

    async def carrying(self, label_id: str, *, limit: int) -> Sequence[Task]:
        """Some of the tasks that carry a label, also from the trash; none where none does."""
        ...

    async def of_team(self, team_id: str, *, limit: int) -> Sequence[Task]:
        """Some of the tasks that are a team's own or assigned to it, also from the trash; none where none is."""
        ...

    async def given_in_team(self, user_id: str, team_id: str) -> Sequence[Task]:
        """Every task of a team that is assigned to this user himself, also from the trash."""
        ...

    async def trashed_by(self, project_id: str, stamp: Stamp) -> Sequence[Task]:
        """The tasks of a project that went into the trash under this stamp, as they do together with it."""
        ...


class Labels(Repository[Label], Protocol):
    """Labels."""

    async def matching(self, text: str | None, page: PageRequest, *, deleted: bool = False) -> Page[Label]:
        """A page of labels; sorts by createdAt, updatedAt or name."""
        ...

    async def named(self, names: Iterable[str]) -> dict[str, Label]:
        """The live labels with these names, by name."""
        ...


class Assignments(Repository[TaskAssignment], Protocol):
    """Assignments of tasks."""

    async def executed_by(self, user_id: str, team_id: str) -> Sequence[TaskAssignment]:
        """The live assignments to a team that this member took over, also of tasks in the trash."""
        ...

    async def of_task(self, task_id: str) -> TaskAssignment | None:
        """The one live assignment of a task."""
        ...

    async def ever_of_tasks(self, task_ids: Iterable[str]) -> Sequence[TaskAssignment]:
        """Every assignment of these tasks, also those that are over."""
        ...

    async def of_tasks(self, task_ids: Iterable[str]) -> dict[str, TaskAssignment]:
        """The live assignments of these tasks, by task."""
        ...


class Watches(Repository[Watch], Protocol):
    """Who follows which task; the id follows from both (`domain.watch.watch_id`)."""

    async def page_of_user(self, user_id: str, page: PageRequest) -> Page[Watch]:
        """A page of what a user watches at present; sorts by updatedAt, which is when he began to."""
        ...

    async def task_ids_of_user(self, user_id: str) -> tuple[str, ...]:
        """Every task that a user watches at present."""
        ...

    async def ever_of_tasks(self, task_ids: Iterable[str]) -> Sequence[Watch]:
        """Every watch over these tasks, also those given up."""
        ...

    async def of_task(self, task_id: str) -> Sequence[Watch]:
        """Every watch over a task, also those given up."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which audit entries; None means whichever. `since` and `until` bound the instant, inclusive and exclusive.

    `collections` and `entity_ids` keep the entries of several things of several kinds.
    """

    collection: str | None = None
    entity_id: str | None = None
    collections: tuple[str, ...] | None = None
    entity_ids: tuple[str, ...] | None = None
    actor_id: str | None = None
    action: Action | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditTrail(Protocol):
    """The audit trail, read only: entries are written by the unit of work and by nobody else."""

    async def matching(self, filters: AuditFilter, page: PageRequest) -> Page[AuditEntry]:
        """A page of entries; sorts by at."""
        ...

    async def about_purged(self, entries: Iterable[AuditEntry]) -> frozenset[str]:
        """The ids of those entries that tell of something that was removed for good since."""
        ...

    async def of_version(self, collection: str, entity_id: str, version: int) -> AuditEntry | None:
        """The entry that recorded one version."""
        ...

    async def with_key(self, idempotency_key: str) -> AuditEntry | None:
        """The entry of the request that used this idempotency key first."""
        ...
