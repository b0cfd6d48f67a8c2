"""Health, probes and metrics. They need no sign-in, so they must not show anything secret."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from loguru import logger
from msgspec import Struct

from application.actor import system_actor
from application.operations import OperateSync
from application.ports.health import ComponentHealth, HealthProbe
from application.ports.synchronisation import SyncMetrics
from domain.errors import TandemError
from entrypoints.http.protocol.answers import NO_STORE, Answer, encoded
from entrypoints.http.protocol.operation import Controller, operation
from entrypoints.http.protocol.request import Request
from entrypoints.http.protocol.resource import Resource

UP, DOWN = "UP", "DOWN"
PROMETHEUS = b"text/plain; version=0.0.4; charset=utf-8"
SYNC_SECONDS_MAX = 2.0
STORE = "db"
OPENING = "The stores are being opened."


class ComponentView(Struct, omit_defaults=True):
    """The status of one component: UP, DEGRADED (it works for part of the records) or DOWN, and why."""

    status: str
    detail: str | None = None


class HealthView(Struct):
    """Whether the service can answer requests, and the status of each component."""

    status: str
    components: dict[str, ComponentView]


class StatusView(Struct, omit_defaults=True):
    """UP or DOWN, and why it is down."""

    status: str
    detail: str | None = None


class RequestMetrics(Protocol):
    """Request counters that can be rendered."""

    def render(
        self, sync: SyncMetrics | None = None, components: Mapping[str, ComponentHealth] | None = None
    ) -> str:
        """All counters, and the state of the mirror and of each component if given, as Prometheus text."""


@dataclass(frozen=True, slots=True)
class MirrorReader:
    """Reads the metrics of the mirror within a time limit."""

    operate_sync: OperateSync
    is_started: Callable[[], bool]

    async def metrics(self, request_id: str) -> SyncMetrics | None:
        """The metrics of the mirror; None if the source is not open or does not answer in time."""
        if not self.is_started():
            return None
        try:
            async with asyncio.timeout(SYNC_SECONDS_MAX):
                return await self.operate_sync.metrics(system_actor(request_id))
        except (TandemError, TimeoutError) as error:
            logger.bind(request_id=request_id).warning(
                "The metrics of the mirror could not be read: {}", error
            )
            return None


def _is_up(components: Mapping[str, ComponentHealth]) -> bool:
    store = components.get(STORE)
    return store is not None and store.up


def _answer(view: Struct, *, is_up: bool) -> Answer:
    return Answer(encoded(view), status=200 if is_up else 503, headers=NO_STORE)


def _status_answer(*, is_up: bool, detail: str | None = None) -> Answer:
    return _answer(StatusView(UP if is_up else DOWN, None if is_up else detail), is_up=is_up)


class HealthController(Controller):
    """Probes. `is_started` returns true once the stores are open."""

    health_probe: HealthProbe
    request_metrics: RequestMetrics
    mirror: MirrorReader
    is_started: Callable[[], bool]

    @operation(
        "GET",
        "/v1/health",
        summary="Check whether the service can answer requests",
        view=HealthView,
        public=True,
    )
    async def health(self) -> Answer:
        components = await self.health_probe.components()
        views = {name: ComponentView(part.status, part.detail) for name, part in components.items()}
        is_up = _is_up(components)
        return _answer(HealthView(UP if is_up else DOWN, views), is_up=is_up)

    @operation(
        "GET",
        "/livez",
        summary="Check whether the process is running",
        view=StatusView,
        public=True,
        free_query=True,
    )
    async def live(self) -> Answer:
        return _status_answer(is_up=True)

    @operation(
        "GET",
        "/readyz",
        summary="Check whether this process should receive requests",
        view=StatusView,
        public=True,
        free_query=True,
    )
    async def ready(self) -> Answer:
        components = await self.health_probe.components()
        is_started, store = self.is_started(), components.get(STORE)
        detail = None if store is None else store.detail
        return _status_answer(
            is_up=is_started and _is_up(components), detail=detail or (None if is_started else OPENING)
        )

    @operation(
        "GET",
        "/startupz",
        summary="Check whether the stores are open",
        view=StatusView,
        public=True,
        free_query=True,
    )
    async def started(self) -> Answer:
        return _status_answer(is_up=self.is_started(), detail=OPENING)

    @operation(
        "GET",
        "/metrics",
        summary="Read Prometheus metrics",
        public=True,
        free_query=True,
        media_type="text/plain",
    )
    async def metrics(self, request: Request) -> Answer:
        sync, components = await asyncio.gather(
            self.mirror.metrics(request.request_id), self.health_probe.components()
        )
        text = self.request_metrics.render(sync, components)
        return Answer(text.encode(), headers=NO_STORE, media_type=PROMETHEUS)


HEALTH = Resource(controllers=(HealthController,))
