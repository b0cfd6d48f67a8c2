"""Health, probes and metrics: for machines that watch the service."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from litestar import Controller, get
from litestar.di import NamedDependency
from loguru import logger

from application.actor import system_actor
from application.operations import OperateSync
from application.ports.health import ComponentHealth, HealthProbe
from application.ports.synchronisation import SyncMetrics
from domain.errors import TandemError
from entrypoints.http.protocol.answers import NO_STORE, Answer, HttpRequest, view_answer
from entrypoints.http.protocol.operation import documented
from entrypoints.http.protocol.request import exchange_of
from entrypoints.http.queries import require_no_query
from entrypoints.http.views import ComponentView, HealthView, StatusView

UP, DOWN = "UP", "DOWN"
PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"
SYNC_SECONDS_MAX = 2.0
STORE = "db"


@dataclass(frozen=True, slots=True)
class Operations:
    """What the probes look at. `is_started` turns true once the stores are open."""

    health_probe: HealthProbe
    render_metrics: Callable[[SyncMetrics | None], str]
    operate_sync: OperateSync
    is_started: Callable[[], bool]

    async def sync_metrics(self, request_id: str) -> SyncMetrics | None:
        """The mirror's numbers, None where the source does not give them in time."""
        try:
            async with asyncio.timeout(SYNC_SECONDS_MAX):
                return await self.operate_sync.metrics(system_actor(request_id))
        except (TandemError, TimeoutError) as error:
            logger.bind(request_id=request_id).warning("no numbers of the mirror: {}", error)
            return None


def _is_up(components: Mapping[str, ComponentHealth]) -> bool:
    store = components.get(STORE)
    return store is not None and store.up


def _status_answer(*, is_up: bool) -> Answer:
    view = StatusView(UP if is_up else DOWN)
    return view_answer(view, status=200 if is_up else 503, headers=NO_STORE)


class OperationsController(Controller):
    """Answers without signing in, and says nothing that a stranger must not know."""

    @get(
        "/v1/health",
        opt=documented("Read whether requests can be answered", answer=HealthView, is_public=True),
    )
    async def health(self, request: HttpRequest, operations: NamedDependency[Operations]) -> Answer:
        require_no_query(request)
        components = await operations.health_probe.components()
        views = {
            name: ComponentView(UP if part.up else DOWN, part.detail) for name, part in components.items()
        }
        is_up = _is_up(components)
        view = HealthView(UP if is_up else DOWN, views)
        return view_answer(view, status=200 if is_up else 503, headers=NO_STORE)

    @get("/livez", opt=documented("Whether the process runs", answer=StatusView, is_public=True))
    async def live(self) -> Answer:
        return _status_answer(is_up=True)

    @get("/readyz", opt=documented("Whether requests should be sent here", answer=StatusView, is_public=True))
    async def ready(self, operations: NamedDependency[Operations]) -> Answer:
        is_up = operations.is_started() and _is_up(await operations.health_probe.components())
        return _status_answer(is_up=is_up)

    @get("/startupz", opt=documented("Whether the stores are open", answer=StatusView, is_public=True))
    async def started(self, operations: NamedDependency[Operations]) -> Answer:
        return _status_answer(is_up=operations.is_started())

    @get("/metrics", opt=documented("Prometheus metrics", is_public=True, media_type="text/plain"))
    async def metrics(self, request: HttpRequest, operations: NamedDependency[Operations]) -> Answer:
        sync = None
        if operations.is_started():
            sync = await operations.sync_metrics(exchange_of(request.scope).request_id)
        text = operations.render_metrics(sync)
        return Answer(text.encode(), headers=NO_STORE, media_type=PROMETHEUS)
