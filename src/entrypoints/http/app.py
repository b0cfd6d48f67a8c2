"""The application: every route, the one layer around it, the one way errors leave it."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from litestar import Controller, Litestar
from loguru import logger

from entrypoints.composition.settings import RateLimit
from entrypoints.http.audit import AuditController
from entrypoints.http.authentication import Authentication
from entrypoints.http.body_reading import BODY_BYTES_MAX
from entrypoints.http.dependencies import HttpContainer, dependencies_of
from entrypoints.http.errors import answer_error
from entrypoints.http.labels import LabelController
from entrypoints.http.middleware import AccessLines, RequestLayer, name_request
from entrypoints.http.operations import OperationsController
from entrypoints.http.pages import PageController
from entrypoints.http.projects import ProjectController, ProjectHistoryController
from entrypoints.http.rate_limit import RateLimiter
from entrypoints.http.sessions import SessionController
from entrypoints.http.sync import SyncController
from entrypoints.http.tasks import TaskController, TaskHistoryController
from entrypoints.http.timelines import TimelineController, TimelineHistoryController
from entrypoints.http.users import UserController

Lifespan = Callable[[Litestar], AbstractAsyncContextManager[None]]

CONTROLLERS: tuple[type[Controller], ...] = (
    ProjectController,
    ProjectHistoryController,
    TimelineController,
    TimelineHistoryController,
    TaskController,
    TaskHistoryController,
    LabelController,
    UserController,
    SessionController,
    AuditController,
    SyncController,
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
    authentication = Authentication(container.token_reader())
    access_lines = container.access_log()
    app = Litestar(
        route_handlers=CONTROLLERS,
        dependencies=dependencies_of(container, is_started),
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
        limiter=_limiter(settings.http.rate_limit),
    )
    return app


def _limiter(limit: RateLimit | None) -> RateLimiter | None:
    return None if limit is None else RateLimiter(limit.requests, limit.period_seconds)


def _flushing(access_lines: AccessLines) -> Lifespan:
    @asynccontextmanager
    async def flushing(_app: Litestar) -> AsyncIterator[None]:
        try:
            yield
        finally:
            access_lines.flush()

    return flushing
