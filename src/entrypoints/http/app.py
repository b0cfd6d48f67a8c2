"""The application: the list of resources, the request layer around them, and the exception handler."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from loguru import logger

from application.accounts.callers import Callers
from application.history.audit import FindAnswer
from entrypoints.composition.container import Container
from entrypoints.http.admin import ADMIN
from entrypoints.http.api_tokens import API_TOKENS
from entrypoints.http.files import FILES, FileSlots
from entrypoints.http.health import HEALTH
from entrypoints.http.history import AUDIT, AuditViews
from entrypoints.http.labels import LABELS
from entrypoints.http.move import MOVE
from entrypoints.http.operator import OPERATOR
from entrypoints.http.projects.controller import PROJECTS
from entrypoints.http.projects.timelines import TIMELINES
from entrypoints.http.protocol.admission import Connections
from entrypoints.http.protocol.connection import BoundedConnection, within
from entrypoints.http.protocol.cursors import Cursors, Pages
from entrypoints.http.protocol.endpoint import Conventions, routes_of
from entrypoints.http.protocol.error_answers import answer_error
from entrypoints.http.protocol.openapi import openapi_document
from entrypoints.http.protocol.resource import Resource, collections_of, views_of
from entrypoints.http.protocol.writes import Writes
from entrypoints.http.request_layer import AccessLines, Limits, RequestLayer, name_request
from entrypoints.http.security.authentication import Authentication
from entrypoints.http.security.cookies import SessionCookies
from entrypoints.http.security.cross_origin import CrossOrigin
from entrypoints.http.security.csrf import CrossSiteGuard
from entrypoints.http.security.proxies import TrustedProxies
from entrypoints.http.security.rate_limit import RateLimiter
from entrypoints.http.sessions import SESSIONS
from entrypoints.http.site import SITE, Assets
from entrypoints.http.sync import SYNC
from entrypoints.http.tasks.assignments import ASSIGNMENTS
from entrypoints.http.tasks.bulk import BULK
from entrypoints.http.tasks.controller import TASKS
from entrypoints.http.tasks.watchlist import WATCHLIST
from entrypoints.http.teams.controller import TEAMS
from entrypoints.http.teams.members import MEMBERS
from entrypoints.http.teams.roles import ROLES
from entrypoints.http.users import USERS

RESOURCES: tuple[Resource, ...] = (
    PROJECTS,
    TIMELINES,
    TASKS,
    BULK,
    ASSIGNMENTS,
    WATCHLIST,
    LABELS,
    TEAMS,
    MEMBERS,
    ROLES,
    USERS,
    SESSIONS,
    API_TOKENS,
    FILES,
    AUDIT,
    SYNC,
    MOVE,
    ADMIN,
    HEALTH,
    OPERATOR,
    SITE,
)


def create_app(container: Container, *, is_started: Callable[[], bool] = lambda: True) -> Litestar:
    """The application over a container whose stores may still be closed.

    While `is_started` is false, `/startupz` and `/readyz` answer 503. Raises MissingPart if a part cannot be built.
    """
    logger.configure(patcher=name_request)
    settings, access_lines = container.settings(), container.access_log()
    authentication = _authentication(container)
    app = Litestar(
        route_handlers=_routes(container, authentication, is_started),
        exception_handlers={Exception: answer_error},
        lifespan=[_flushing(access_lines)],
        openapi_config=None,
        logging_config=None,
    )
    # Wraps all requests, including those for unknown addresses: the framework's middleware only sees matched routes.
    app.asgi_handler = RequestLayer(
        app.asgi_handler,
        counters=container.request_metrics(),
        access_lines=access_lines,
        authentication=authentication,
        limits=Limits(
            per_caller=RateLimiter.of(settings.http.rate_limit),
            sign_in=RateLimiter.of(settings.http.sign_in_rate_limit),
            proxies=TrustedProxies(networks) if (networks := settings.http.trusted_proxies) else None,
        ),
        cross_origin=CrossOrigin(settings.http.other_pages),
    )
    return app


def create_connections(container: Container) -> type[BoundedConnection]:
    """The kind of connections of the server in front of the application: bounded, except by address for proxies."""
    proxies = TrustedProxies(container.settings().http.trusted_proxies)
    return within(Connections(is_exempt=proxies.trusts))


def _routes(
    container: Container, authentication: Authentication, is_started: Callable[[], bool]
) -> list[HTTPRouteHandler]:
    conventions = _conventions(container)
    builder = container.builder().with_parts(
        views=conventions.views,
        writes=conventions.writes,
        audit_views=AuditViews(RESOURCES),
        authentication=authentication,
        sign_in_limiter=RateLimiter.of(container.settings().http.sign_in_rate_limit),
        file_slots=FileSlots(),
        assets=Assets(partial(openapi_document, RESOURCES)),
        is_started=is_started,
    )
    controllers = {kind: builder.build(kind) for resource in RESOURCES for kind in resource.controllers}
    return routes_of(controllers, conventions)


def _conventions(container: Container) -> Conventions:
    find_answer = container.builder().build(FindAnswer)
    return Conventions(
        views=views_of(RESOURCES),
        pages=Pages(Cursors(container.tokens().derived_secret("cursor"))),
        writes=Writes(
            find_answer,
            needs_versions=container.settings().http.require_if_match,
            read_routing=container.read_routing(),
        ),
        collections=collections_of(RESOURCES),
        read_routing=container.read_routing(),
    )


def _authentication(container: Container) -> Authentication:
    settings, tokens = container.settings(), container.tokens()
    is_https = settings.is_production or settings.http.address.startswith("https://")
    pages = (settings.http.address, *settings.http.other_pages)
    guard = CrossSiteGuard(tokens.derived_secret("csrf"), addresses=pages)
    return Authentication(
        tokens,
        container.builder().build(Callers),
        cookies=SessionCookies(always_secure=is_https),
        guard=guard,
        wrong_tokens=RateLimiter.of(settings.http.sign_in_rate_limit),
    )


def _flushing(access_lines: AccessLines) -> Callable[[Litestar], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def flushing(_app: Litestar) -> AsyncIterator[None]:
        try:
            yield
        finally:
            access_lines.flush()

    return flushing
