"""The typed repositories: what the use cases may ask, entity by entity.

Everything read inside one unit of work is remembered there, so that saving knows what was before.
All methods that read raise StoreUnavailable where the store does not answer.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from application.paging import Page, PageRequest
from domain.audit import Action, AuditEntry
from domain.entity import Entity
from domain.label import Label
from domain.project import Project, ProjectStatus
from domain.task import Priority, Task, TaskStatus
from domain.timeline import Timeline
from domain.user import User

E = TypeVar("E", bound=Entity)


class Repository(Protocol[E]):
    """Entities of one kind."""

    async def get(self, id: str) -> E:
        """The entity, also from the trash. Raises NotFound, or Purged for what was removed for good."""
        ...

    async def get_many(self, ids: Iterable[str]) -> dict[str, E]:
        """Those of the ids that exist, trash included, by id."""
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

    async def search(self, text: str, page: PageRequest) -> Page[User]:
        """Live users whose name or address holds every word of the text; all where it is empty."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFilter:
    """Which projects; None means whichever."""

    visible_to: str | None = None
    owner_id: str | None = None
    team_id: str | None = None
    status: ProjectStatus | None = None
    text: str | None = None
    deleted: bool = False


class Projects(Repository[Project], Protocol):
    """Projects."""

    async def matching(self, wanted: ProjectFilter, page: PageRequest) -> Page[Project]:
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
    """Which tasks; None means whichever."""

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

    async def matching(self, wanted: TaskFilter, page: PageRequest) -> Page[Task]:
        """A page of tasks; sorts by createdAt, updatedAt, dueAt or priority."""
        ...

    async def live_in_project(self, project_id: str) -> Sequence[Task]:
        """Every live task of a project."""
        ...

    async def trashed_with_project(self, project_id: str, deleted_at: datetime) -> Sequence[Task]:
        """The tasks that went into the trash together with their project."""
        ...


class Labels(Repository[Label], Protocol):
    """Labels."""

    async def matching(self, text: str | None, page: PageRequest, *, deleted: bool = False) -> Page[Label]:
        """A page of labels; sorts by createdAt, updatedAt or name."""
        ...

    async def named(self, names: Iterable[str]) -> dict[str, Label]:
        """The live labels with these names, by name."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFilter:
    """Which audit entries; None means whichever. `since` and `until` bound the instant, inclusive and exclusive."""

    collection: str | None = None
    entity_id: str | None = None
    actor_id: str | None = None
    action: Action | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditTrail(Protocol):
    """The audit trail, read only: entries are written by the unit of work and by nobody else."""

    async def matching(self, wanted: AuditFilter, page: PageRequest) -> Page[AuditEntry]:
        """A page of entries; sorts by at."""
        ...

    async def of_version(self, collection: str, entity_id: str, version: int) -> AuditEntry | None:
        """The entry that recorded one version."""
        ...

    async def with_key(self, idempotency_key: str) -> AuditEntry | None:
        """The entry of the request that used this idempotency key first."""
        ...
