"""The typed repositories, one for each entity.

A unit of work keeps everything that it reads, so that saving knows the version before.
All reading methods raise StoreUnavailable if the store does not answer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Protocol, TypeVar

from application.paging import Page, PageRequest
from domain.api_token import ApiToken
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

Moment = datetime | date
"""An instant, or a plain day."""


class Repository(Protocol[E]):
    """The entities of one collection. Unless a method says "live", it also finds entities in the trash."""

    async def get(self, id: str) -> E:
        """The entity. Raises NotFound, or Purged if it was permanently removed."""

    async def find(self, id: str) -> E | None:
        """The entity; None if there is none, or if it was permanently removed."""

    async def get_many(self, ids: Iterable[str]) -> dict[str, E]:
        """The existing ones of these entities, by id."""

    async def changed_since(self, instant: datetime, page: PageRequest) -> Page[E]:
        """A page of the entities changed at or after a time; sorts by updatedAt."""

    async def at_version(self, id: str, version: int) -> E:
        """The entity at an earlier version. Raises NotFound if there is no such version."""

    def save(self, entity: E, *, action: Action | None = None) -> None:
        """Adds a new version to the unit of work; does nothing if it equals the version that was read.

        A new entity has version 1; any other must have been read in the same unit of work. The audit action follows
        from the changes unless it is given.
        """

    async def purged(self, ids: Iterable[str]) -> frozenset[str]:
        """The ids of these entities that were permanently removed."""

    async def trashed_before(self, instant: datetime, page: PageRequest) -> Page[E]:
        """A page of the entities deleted before a time; sorts by deletedAt."""

    def erase(self, entity: E, stamp: Stamp) -> None:
        """Adds the permanent removal of an entity, read in the same unit of work. No late replay restores it."""

    def require_unchanged(self, entity: E) -> None:
        """Adds a read check: the commit raises VersionConflict if this entity, which it does not change itself, has
        changed since it was read.
        """


class Users(Repository[User], Protocol):
    """Accounts."""

    async def with_email(self, email: str) -> User | None:
        """The live user with this normalised address."""

    async def is_empty(self) -> bool:
        """Whether no user has ever signed in."""

    async def holding(self, grant: str) -> Sequence[User]:
        """All live users with this grant."""

    async def search(self, text: str, page: PageRequest) -> Page[User]:
        """A page of live users whose names contain every word of the text, or of the one with this whole address; of
        all if the text is empty. Sorts by createdAt.
        """


class Sessions(Repository[Session], Protocol):
    """Sign-ins."""

    async def over_before(self, instant: datetime, page: PageRequest) -> Page[Session]:
        """A page of sessions that expired before a time; sorts by expiresAt."""


class ApiTokens(Repository[ApiToken], Protocol):
    """API tokens."""

    async def count_of_user(self, user_id: str) -> int:
        """The number of live tokens of a user, expired or not."""

    async def page_of_user(self, user_id: str, page: PageRequest) -> Page[ApiToken]:
        """A page of the live tokens of a user; sorts by createdAt."""

    async def expired_before(self, instant: datetime, page: PageRequest) -> Page[ApiToken]:
        """A page of live tokens that expired before a time; sorts by expiresAt."""


class Roles(Repository[Role], Protocol):
    """Roles."""

    async def matching(self, scope: RoleScope | None, page: PageRequest) -> Page[Role]:
        """A page of live roles; sorts by createdAt, updatedAt or name."""

    async def of_scope(self, scope: RoleScope) -> Sequence[Role]:
        """All live roles of a scope."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamFilter:
    """A filter of teams; None accepts any value. `ids` restricts it to these teams."""

    ids: tuple[str, ...] | None = None
    owner_id: str | None = None
    text: str | None = None
    deleted: bool = False


class Teams(Repository[Team], Protocol):
    """Teams."""

    async def matching(self, filters: TeamFilter, page: PageRequest) -> Page[Team]:
        """A page of teams; sorts by createdAt, updatedAt or name."""


class Memberships(Repository[Membership], Protocol):
    """Memberships of teams; the id follows from user and team (`domain.team.membership_id`)."""

    async def of_user(self, user_id: str) -> Sequence[Membership]:
        """All live memberships of a user."""

    async def of_team(self, team_id: str) -> Sequence[Membership]:
        """All live memberships of a team, at most MEMBERS_MAX."""

    async def count_of_team(self, team_id: str) -> int:
        """The number of live memberships of a team."""

    async def trashed_by(self, team_id: str, stamp: Stamp) -> Sequence[Membership]:
        """The memberships of a team that were deleted under this stamp, together with the team."""

    async def ever_of_team(self, team_id: str) -> Sequence[Membership]:
        """All memberships of a team."""

    async def page_of_team(self, team_id: str, page: PageRequest) -> Page[Membership]:
        """A page of the live memberships of a team; sorts by createdAt."""


@dataclass(frozen=True, slots=True)
class Audience:
    """The reader of a list: a user and their teams."""

    user_id: str
    team_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFilter:
    """A filter of projects; None accepts any value. `visible_to` keeps projects of the audience and of its teams."""

    visible_to: Audience | None = None
    owner_id: str | None = None
    team_id: str | None = None
    status: ProjectStatus | None = None
    text: str | None = None
    deleted: bool = False


class Projects(Repository[Project], Protocol):
    """Projects."""

    async def of_team(self, team_id: str, *, limit: int) -> Sequence[Project]:
        """Up to `limit` projects of a team."""

    async def matching(self, filters: ProjectFilter, page: PageRequest) -> Page[Project]:
        """A page of projects; sorts by createdAt, updatedAt or name."""


class Timelines(Repository[Timeline], Protocol):
    """Schedules; each has its project's id."""

    async def of_project(self, project_id: str) -> Timeline | None:
        """The project's timeline; None if none was saved."""

    async def version_at(self, project_id: str, at: datetime) -> int | None:
        """The number of the version at a time; None if there was none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilter:
    """A filter of tasks; None accepts any value. A task matches a tuple if it has one of its values; None in a tuple
    stands for tasks without a value.

    `visible_to` keeps tasks owned by, assigned to or executed by the audience or its teams. `team_ids` finds tasks
    owned by or assigned to a team. `is_assigned` keeps tasks with an assignee.

    `deferred` keeps tasks that are deferred at `now`, or those that are not; True together with `statuses` keeps
    both the deferred tasks and those with one of the statuses. `due_after` and `updated_after` are inclusive,
    `due_before` is exclusive; a plain day begins at its midnight in `zone`, which also decides what `is_overdue` at
    `now`.
    """

    visible_to: Audience | None = None
    ids: tuple[str, ...] | None = None
    display_ids: tuple[int, ...] | None = None
    team_ids: tuple[str, ...] | None = None
    assignee_ids: tuple[str | None, ...] | None = None
    executor_id: str | None = None
    is_assigned: bool = False
    deferred: bool | None = None
    now: datetime | None = None
    zone: tzinfo = UTC
    created_by: tuple[str | None, ...] | None = None
    project_ids: tuple[str | None, ...] | None = None
    parent_ids: tuple[str | None, ...] | None = None
    statuses: tuple[TaskStatus, ...] | None = None
    priorities: tuple[Priority, ...] | None = None
    label_ids: tuple[str, ...] | None = None
    due_before: Moment | None = None
    due_after: Moment | None = None
    is_overdue: bool | None = None
    updated_after: Moment | None = None
    text: str | None = None
    deleted: bool = False

    @property
    def needs_zone(self) -> bool:
        """Whether `zone` matters."""
        moments = (self.due_after, self.due_before, self.updated_after)
        has_day = any(moment is not None and not isinstance(moment, datetime) for moment in moments)
        return has_day or self.is_overdue is not None


class Tasks(Repository[Task], Protocol):
    """Tasks."""

    async def matching(self, filters: TaskFilter, page: PageRequest) -> Page[Task]:
        """A page of tasks; sorts by createdAt, updatedAt, dueAt, priority or displayId. Tasks without a due date or
        number come last in both directions.
        """

    async def count(self, filters: TaskFilter) -> int:
        """The number of tasks that match."""

    async def of_project(self, project_id: str) -> Sequence[Task]:
        """All tasks of a project."""

    async def of_project_since(self, project_id: str, instant: datetime, *, limit: int) -> Sequence[Task]:
        """Up to `limit` tasks of a project that are live or were deleted at or after a time."""

    async def some_of_project(self, project_id: str, *, limit: int) -> Sequence[Task]:
        """Up to `limit` tasks of a project."""

    async def live_in_project(self, project_id: str) -> Sequence[Task]:
        """All live tasks of a project."""

    async def children_of(self, task_ids: Sequence[str]) -> Sequence[Task]:
        """All tasks whose parent is one of these."""

    async def carrying(self, label_id: str, *, limit: int) -> Sequence[Task]:
        """Up to `limit` tasks with a label."""

    async def of_team(self, team_id: str, *, limit: int) -> Sequence[Task]:
        """Up to `limit` tasks owned by or assigned to a team."""

    async def given_in_team(self, user_id: str, team_id: str) -> Sequence[Task]:
        """All tasks owned by a team and assigned to this user."""

    async def trashed_by(self, project_id: str, stamp: Stamp) -> Sequence[Task]:
        """The tasks of a project that were deleted under this stamp, together with the project."""


class Labels(Repository[Label], Protocol):
    """Labels."""

    async def matching(self, text: str | None, page: PageRequest, *, deleted: bool = False) -> Page[Label]:
        """A page of labels; sorts by createdAt, updatedAt or name."""

    async def named(self, names: Iterable[str]) -> dict[str, Label]:
        """The live labels with these names, by these names; case makes no difference."""


class Assignments(Repository[TaskAssignment], Protocol):
    """Assignments of tasks."""

    async def executed_by(self, user_id: str, team_id: str) -> Sequence[TaskAssignment]:
        """The live assignments to a team with this executor, also of tasks in the trash."""

    async def of_task(self, task_id: str) -> TaskAssignment | None:
        """The live assignment of a task."""

    async def ever_of_tasks(self, task_ids: Iterable[str]) -> Sequence[TaskAssignment]:
        """All assignments of these tasks."""

    async def of_tasks(self, task_ids: Iterable[str]) -> dict[str, TaskAssignment]:
        """The live assignments of these tasks, by task id."""


class Watches(Repository[Watch], Protocol):
    """Watches of tasks; the id follows from user and task (`domain.watch.watch_id`)."""

    async def page_of_user(self, user_id: str, page: PageRequest) -> Page[Watch]:
        """A page of the live watches of a user; sorts by updatedAt, the time when each began."""

    async def task_ids_of_user(self, user_id: str) -> tuple[str, ...]:
        """The ids of all tasks that a user watches."""

    async def ever_of_tasks(self, task_ids: Iterable[str]) -> Sequence[Watch]:
        """All watches of these tasks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """A filter of audit entries; None accepts any value. `since` is inclusive, `until` exclusive.

    `collections` and `entity_ids` keep the entries of several entities.
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
    """The audit trail, read only: the unit of work alone writes entries."""

    async def matching(self, filters: AuditFilter, page: PageRequest) -> Page[AuditEntry]:
        """A page of entries; sorts by at."""

    async def about_purged(self, entries: Iterable[AuditEntry]) -> frozenset[str]:
        """The ids of the entries whose entity has been permanently removed."""

    async def of_version(self, collection: str, entity_id: str, version: int) -> AuditEntry | None:
        """The entry of one version."""

    async def with_key(self, idempotency_key: str) -> AuditEntry | None:
        """The first entry of the request with this idempotency key."""
