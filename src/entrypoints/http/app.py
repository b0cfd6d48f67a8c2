"""The application: every route, the one layer around it, the one way errors leave it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from litestar import Controller, Litestar
from loguru import logger

from entrypoints.http.admin import AdministrationController
from entrypoints.http.audit import AuditController
from entrypoints.http.dependencies import HttpContainer, dependencies_of
from entrypoints.http.door import before_operation
from entrypoints.http.errors import answer_error
from entrypoints.http.files import ExportController, ImportController
from entrypoints.http.google import GoogleController
from entrypoints.http.health import OperationsController
from entrypoints.http.labels import LabelController
from entrypoints.http.projects.controller import ProjectController, ProjectHistoryController
from entrypoints.http.projects.timelines import TimelineController, TimelineHistoryController
from entrypoints.http.protocol.input import BODY_BYTES_MAX
from entrypoints.http.protocol.middleware import AccessLines, Limits, RequestLayer, name_request
from entrypoints.http.security.authentication import Authentication
from entrypoints.http.security.cookies import SessionCookies
from entrypoints.http.security.csrf import CrossSiteGuard
from entrypoints.http.security.rate_limit import RateLimiter
from entrypoints.http.sessions import SessionController
from entrypoints.http.site import PageController
from entrypoints.http.sync import SyncController
from entrypoints.http.task_work import TaskWorkController
from entrypoints.http.tasks.assignments import AssignmentController
from entrypoints.http.tasks.bulk import BulkController
from entrypoints.http.tasks.controller import TaskController, TaskHistoryController
from entrypoints.http.tasks.watchlist import WatchlistController
from entrypoints.http.teams.controller import TeamController, TeamHistoryController
from entrypoints.http.teams.members import InvitationController, MemberController
from entrypoints.http.teams.roles import HeldRolesController, RoleController
from entrypoints.http.users import UserController

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]

CONTROLLERS: tuple[type[Controller], ...] = (
    ProjectController,
    ProjectHistoryController,
    TimelineController,
    TimelineHistoryController,
    TaskController,
    TaskHistoryController,
    TaskWorkController,
    BulkController,
    AssignmentController,
    LabelController,
    TeamController,
    TeamHistoryController,
    MemberController,
    InvitationController,
    RoleController,
    HeldRolesController,
    UserController,
    WatchlistController,
    SessionController,
    GoogleController,
    ImportController,
    ExportController,
    AuditController,
    SyncController,
    AdministrationController,
    OperationsController,
    PageController,
)


def create_app(
    container: HttpContainer,
    *,
    lifespan: Sequence[Lifespan] = (),
    is_started: Callable[[], bool] = lambda: True,
) -> Litestar:
    """The whole interface over a container whose stores may still be closed.

    `lifespan` opens and closes what the container holds, in order and reverse order; while `is_started` says no,
    `/startupz` and `/readyz` answer 503.
    """
    logger.configure(patcher=name_request)
    settings = container.settings()
    authentication = _authentication(container)
    access_lines = container.access_log()
    app = Litestar(
        route_handlers=CONTROLLERS,
        # Not one of the framework's guards: it copies the handler for each of them, at every request.
        before_request=before_operation,
        dependencies=dependencies_of(container, authentication, is_started),
        exception_handlers={Exception: answer_error},
        lifespan=[*lifespan, _flushing(access_lines)],
        request_max_body_size=BODY_BYTES_MAX,
        openapi_config=None,
        logging_config=None,
    )
    # Around everything, addresses that do not exist included: the framework's own middleware sees matched routes only.
    app.asgi_handler = RequestLayer(
        app.asgi_handler,
        counters=container.request_metrics(),
        access_lines=access_lines,
        authentication=authentication,
        limits=Limits(
            per_caller=RateLimiter.of(settings.http.rate_limit),
            sign_in=RateLimiter.of(settings.http.sign_in_rate_limit),
        ),
    )
    return app


def _authentication(container: HttpContainer) -> Authentication:
    settings, tokens = container.settings(), container.token_reader()
    is_https = settings.is_production or settings.http.address.startswith("https://")
    pages = (settings.http.address, settings.http.ui_address)
    guard = CrossSiteGuard(tokens.derived_secret("csrf"), addresses=pages)
    return Authentication(tokens, SessionCookies(always_secure=is_https), guard)


def _flushing(access_lines: AccessLines) -> Lifespan:
    @asynccontextmanager
    async def flushing(_app: Litestar) -> AsyncIterator[None]:
        try:
            yield
        finally:
            access_lines.flush()

    return flushing
