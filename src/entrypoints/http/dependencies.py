"""What handlers may ask for by name: desks made from the container, each handed over by one lambda.

The container's own injection is not used in handlers: its markers would turn services into query parameters.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

from litestar.di import Provide

from application import audit_trail, labels, operating, projects, tasks, timelines, users
from application.ports.health import HealthProbe
from application.ports.synchronisation import SyncMetrics
from entrypoints.composition.settings import Settings
from entrypoints.http.authentication import TokenVerifier
from entrypoints.http.conditional import Preconditions
from entrypoints.http.desks import (
    AuditDesk,
    LabelDesk,
    MirrorDesk,
    ProjectDesk,
    SessionDesk,
    TaskDesk,
    TimelineDesk,
    UserDesk,
)
from entrypoints.http.idempotency import Answers
from entrypoints.http.middleware import AccessLines, RequestCounters
from entrypoints.http.operations import Operations
from entrypoints.http.pages import Assets, Site
from entrypoints.http.paging import Cursors, Pages
from entrypoints.http.writing import Writing


class Metrics(RequestCounters, Protocol):
    """Request counters that can be shown."""

    def render(self, sync: SyncMetrics | None = None) -> str:
        """Everything counted so far, and the mirror's state where it is given, as Prometheus text."""
        ...


class HttpContainer(Protocol):
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
    def get_task(self) -> Callable[[], tasks.GetTask]: ...
    @property
    def list_tasks(self) -> Callable[[], tasks.ListTasks]: ...
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
    def sign_in_by_email(self) -> Callable[[], users.SignInByEmail]: ...
    @property
    def get_user(self) -> Callable[[], users.GetUser]: ...
    @property
    def search_users(self) -> Callable[[], users.SearchUsers]: ...
    @property
    def edit_user(self) -> Callable[[], users.EditUser]: ...

    @property
    def list_audit_entries(self) -> Callable[[], audit_trail.ListAuditEntries]: ...
    @property
    def list_versions(self) -> Callable[[], audit_trail.ListVersions]: ...
    @property
    def find_answer(self) -> Callable[[], audit_trail.FindAnswer]: ...
    @property
    def operate_sync(self) -> Callable[[], operating.OperateSync]: ...


def dependencies_of(container: HttpContainer, is_started: Callable[[], bool]) -> Mapping[str, Provide]:
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
        "labels": _label_desk(container, pages, writing),
        "users": UserDesk(
            get=container.get_user(),
            search=container.search_users(),
            edit=container.edit_user(),
            pages=pages,
            writing=writing,
        ),
        "sessions": SessionDesk(sign_in=container.sign_in_by_email(), settings=settings),
        "trail": AuditDesk(find=container.list_audit_entries(), pages=pages),
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


def _label_desk(container: HttpContainer, pages: Pages, writing: Writing) -> LabelDesk:
    return LabelDesk(
        create=container.create_label(),
        get=container.get_label(),
        find=container.list_labels(),
        edit=container.edit_label(),
        delete=container.delete_label(),
        restore=container.restore_label(),
        pages=pages,
        writing=writing,
    )


def _provided(desk: object) -> Provide:
    return Provide(lambda: desk, sync_to_thread=False)
