"""What each group of handlers works with, bundled: its use cases and the parts around them.

The framework starts a task for each of several dependencies of one handler, which costs more than the rest of the
request; so every handler asks for exactly one desk.
"""

from dataclasses import dataclass

from application.accounts.users import EditUser, GetUser, SearchUsers
from application.history.audit import ListAuditEntries, ListVersions
from application.history.retention import PurgeExpired, ReadRetention
from application.history.trash import ListTrash, ReadTrash
from application.labels import CreateLabel, DeleteLabel, EditLabel, GetLabel, ListLabels, RestoreLabel
from application.operations import OperateSync, ReadDiagnostics
from application.projects.commands import (
    CreateProject,
    DeleteProject,
    EditProject,
    GetProject,
    ListProjects,
    RestoreProject,
    RollBackProject,
)
from application.projects.timelines import GetTimeline, RollBackTimeline, SaveTimeline
from application.tasks.commands import (
    CreateTask,
    DeleteTask,
    EditTask,
    RestoreTask,
    RollBackTask,
)
from application.tasks.reading import GetTask, ListTasks
from application.tasks.watchlist import ListWatched, UnwatchTask, WatchTask
from entrypoints.http.protocol.cursors import Pages
from entrypoints.http.protocol.writes import Writing


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectDesk:
    """For projects."""

    create: CreateProject
    get: GetProject
    find: ListProjects
    edit: EditProject
    delete: DeleteProject
    restore: RestoreProject
    roll_back: RollBackProject
    list_versions: ListVersions
    pages: Pages
    writing: Writing


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDesk:
    """For tasks."""

    create: CreateTask
    get: GetTask
    find: ListTasks
    edit: EditTask
    delete: DeleteTask
    restore: RestoreTask
    roll_back: RollBackTask
    list_versions: ListVersions
    pages: Pages
    writing: Writing


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchlistDesk:
    """For what people follow."""

    find: ListWatched
    watch: WatchTask
    unwatch: UnwatchTask
    pages: Pages


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineDesk:
    """For timelines."""

    get: GetTimeline
    save: SaveTimeline
    roll_back: RollBackTimeline
    list_versions: ListVersions
    pages: Pages
    writing: Writing


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelDesk:
    """For labels."""

    create: CreateLabel
    get: GetLabel
    find: ListLabels
    edit: EditLabel
    delete: DeleteLabel
    restore: RestoreLabel
    pages: Pages
    writing: Writing


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDesk:
    """For accounts and profiles."""

    get: GetUser
    search: SearchUsers
    edit: EditUser
    pages: Pages
    writing: Writing


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditDesk:
    """For the audit trail."""

    find: ListAuditEntries
    pages: Pages


@dataclass(frozen=True, slots=True, kw_only=True)
class AdministrationDesk:
    """For administrators."""

    read_trash: ReadTrash
    list_trash: ListTrash
    read_retention: ReadRetention
    purge: PurgeExpired
    diagnostics: ReadDiagnostics
    retention_days: int
    pages: Pages


@dataclass(frozen=True, slots=True, kw_only=True)
class MirrorDesk:
    """For the mirror."""

    operate: OperateSync
    pages: Pages
