"""What handlers may ask for by name: desks made from the container, each handed over by one lambda.

The container's own injection is not used in handlers: its markers would turn services into query parameters.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from litestar.di import Provide

from application import labels, operations
from application.accounts import users
from application.history import audit as audit_trail
from application.history import retention, trash
from application.ports.health import HealthProbe
from application.ports.synchronisation import SyncMetrics
from application.projects import commands as projects
from application.projects import timelines
from application.tasks import commands as tasks
from application.tasks import reading as task_reading
from application.tasks import watchlist as watchlists
from entrypoints.composition.settings import Settings
from entrypoints.http.conditional import Preconditions
from entrypoints.http.desks import (
    AdministrationDesk,
    AuditDesk,
    LabelDesk,
    MirrorDesk,
    ProjectDesk,
    TaskDesk,
    TimelineDesk,
    UserDesk,
    WatchlistDesk,
)
from entrypoints.http.health import Operations
from entrypoints.http.idempotency import Answers
from entrypoints.http.interchange_desk import InterchangeUseCases, interchange_desk
from entrypoints.http.protocol.cursors import Cursors, Pages
from entrypoints.http.protocol.middleware import AccessLines, RequestCounters
from entrypoints.http.protocol.writes import Writing
from entrypoints.http.security.authentication import Authentication, TokenVerifier
from entrypoints.http.session_desk import SessionUseCases, session_desk
from entrypoints.http.site import Assets, Site
from entrypoints.http.task_desks import TaskWorkUseCases, task_desks
from entrypoints.http.team_desks import TeamUseCases, team_desks


class Metrics(RequestCounters, Protocol):
    """Request counters that can be shown."""

    def render(self, sync: SyncMetrics | None = None) -> str:
        """Everything counted so far, and the mirror's state where it is given, as Prometheus text."""
        ...


class HttpContainer(SessionUseCases, TeamUseCases, TaskWorkUseCases, InterchangeUseCases, Protocol):
    """What the interface needs from the container: one provider per use case, and a few parts around them."""

    @property
    def settings(self) -> Callable[[], Settings]: ...
    @property
    def token_reader(self) -> Callable[[], TokenVerifier]: ...
    @property
    def health_probe(self) -> Callable[[], HealthProbe]: ...
    @property
    def request_metrics(self) -> Callable[[], Metrics]: ...
    @property
    def access_log(self) -> Callable[[], AccessLines]: ...

    @property
    def create_project(self) -> Callable[[], projects.CreateProject]: ...
    @property
    def get_project(self) -> Callable[[], projects.GetProject]: ...
    @property
    def list_projects(self) -> Callable[[], projects.ListProjects]: ...
    @property
    def edit_project(self) -> Callable[[], projects.EditProject]: ...
    @property
    def delete_project(self) -> Callable[[], projects.DeleteProject]: ...
    @property
    def restore_project(self) -> Callable[[], projects.RestoreProject]: ...
    @property
    def roll_back_project(self) -> Callable[[], projects.RollBackProject]: ...

    @property
    def create_task(self) -> Callable[[], tasks.CreateTask]: ...
    @property
    def get_task(self) -> Callable[[], task_reading.GetTask]: ...
    @property
    def list_tasks(self) -> Callable[[], task_reading.ListTasks]: ...
    @property
    def edit_task(self) -> Callable[[], tasks.EditTask]: ...
    @property
    def delete_task(self) -> Callable[[], tasks.DeleteTask]: ...
    @property
    def restore_task(self) -> Callable[[], tasks.RestoreTask]: ...
    @property
    def roll_back_task(self) -> Callable[[], tasks.RollBackTask]: ...

    @property
    def get_timeline(self) -> Callable[[], timelines.GetTimeline]: ...
    @property
    def save_timeline(self) -> Callable[[], timelines.SaveTimeline]: ...
    @property
    def roll_back_timeline(self) -> Callable[[], timelines.RollBackTimeline]: ...

    @property
    def create_label(self) -> Callable[[], labels.CreateLabel]: ...
    @property
    def get_label(self) -> Callable[[], labels.GetLabel]: ...
    @property
    def list_labels(self) -> Callable[[], labels.ListLabels]: ...
    @property
    def edit_label(self) -> Callable[[], labels.EditLabel]: ...
    @property
    def delete_label(self) -> Callable[[], labels.DeleteLabel]: ...
    @property
    def restore_label(self) -> Callable[[], labels.RestoreLabel]: ...

    @property
    def get_user(self) -> Callable[[], users.GetUser]: ...
    @property
    def search_users(self) -> Callable[[], users.SearchUsers]: ...
    @property
    def edit_user(self) -> Callable[[], users.EditUser]: ...

    @property
    def list_watched(self) -> Callable[[], watchlists.ListWatched]: ...
    @property
    def watch_task(self) -> Callable[[], watchlists.WatchTask]: ...
    @property
    def unwatch_task(self) -> Callable[[], watchlists.UnwatchTask]: ...

    @property
    def list_audit_entries(self) -> Callable[[], audit_trail.ListAuditEntries]: ...
    @property
    def list_versions(self) -> Callable[[], audit_trail.ListVersions]: ...
    @property
    def find_answer(self) -> Callable[[], audit_trail.FindAnswer]: ...
    @property
    def read_trash(self) -> Callable[[], trash.ReadTrash]: ...
    @property
    def list_trash(self) -> Callable[[], trash.ListTrash]: ...
    @property
    def read_diagnostics(self) -> Callable[[], operations.ReadDiagnostics]: ...
    @property
    def read_retention(self) -> Callable[[], retention.ReadRetention]: ...
    @property
    def purge_expired(self) -> Callable[[], retention.PurgeExpired]: ...
    @property
    def operate_sync(self) -> Callable[[], operations.OperateSync]: ...


def dependencies_of(
    container: HttpContainer, authentication: Authentication, is_started: Callable[[], bool]
) -> Mapping[str, Provide]:
    """Every name a handler may ask for, and its desk."""
    settings = container.settings()
    pages = Pages(Cursors(container.token_reader().derived_secret("cursor")))
    preconditions = Preconditions(mandatory=settings.http.require_if_match)
    writing = Writing(Answers(container.find_answer()), preconditions)
    operations = Operations(
        container.health_probe(), container.request_metrics().render, container.operate_sync(), is_started
    )
    desks: dict[str, object] = {
        **_planning_desks(container, pages, writing),
        **team_desks(container, pages, writing),
        **task_desks(container, pages, writing),
        **_personal_desks(container, pages, writing),
        "sessions": session_desk(container, authentication),
        "interchange": interchange_desk(container),
        "trail": AuditDesk(find=container.list_audit_entries(), pages=pages),
        "administration": AdministrationDesk(
            read_trash=container.read_trash(),
            list_trash=container.list_trash(),
            read_retention=container.read_retention(),
            purge=container.purge_expired(),
            diagnostics=container.read_diagnostics(),
            retention_days=settings.retention_days,
            pages=pages,
        ),
        "mirror": MirrorDesk(operate=container.operate_sync(), pages=pages),
        "operations": operations,
        "site": Site(settings, operations, Assets()),
    }
    return {name: _provided(desk) for name, desk in desks.items()}


def _planning_desks(container: HttpContainer, pages: Pages, writing: Writing) -> dict[str, object]:
    list_versions = container.list_versions()
    return {
        "projects": ProjectDesk(
            create=container.create_project(),
            get=container.get_project(),
            find=container.list_projects(),
            edit=container.edit_project(),
            delete=container.delete_project(),
            restore=container.restore_project(),
            roll_back=container.roll_back_project(),
            list_versions=list_versions,
            pages=pages,
            writing=writing,
        ),
        "tasks": TaskDesk(
            create=container.create_task(),
            get=container.get_task(),
            find=container.list_tasks(),
            edit=container.edit_task(),
            delete=container.delete_task(),
            restore=container.restore_task(),
            roll_back=container.roll_back_task(),
            list_versions=list_versions,
            pages=pages,
            writing=writing,
        ),
        "timelines": TimelineDesk(
            get=container.get_timeline(),
            save=container.save_timeline(),
            roll_back=container.roll_back_timeline(),
            list_versions=list_versions,
            pages=pages,
            writing=writing,
        ),
    }


def _personal_desks(container: HttpContainer, pages: Pages, writing: Writing) -> dict[str, object]:
    """What people keep for themselves, and the labels they share."""
    return {
        "labels": LabelDesk(
            create=container.create_label(),
            get=container.get_label(),
            find=container.list_labels(),
            edit=container.edit_label(),
            delete=container.delete_label(),
            restore=container.restore_label(),
            pages=pages,
            writing=writing,
        ),
        "users": UserDesk(
            get=container.get_user(),
            search=container.search_users(),
            edit=container.edit_user(),
            pages=pages,
            writing=writing,
        ),
        "watchlist": WatchlistDesk(
            find=container.list_watched(),
            watch=container.watch_task(),
            unwatch=container.unwatch_task(),
            pages=pages,
        ),
    }


def _provided(desk: object) -> Provide:
    return Provide(lambda: desk, sync_to_thread=False)
