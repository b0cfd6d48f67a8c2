"""The stores of one process: opens them in order, keeps trying where they are down, closes them in reverse."""

import asyncio
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from loguru import logger
from tenacity import (
    AsyncRetrying,
    retry_if_exception_type,
    stop_after_delay,
    stop_never,
    wait_exponential_jitter,
)
from tenacity.stop import stop_base

from adapters.cache.cached_store import CachedStore
from adapters.cache.record_cache import CacheNamespace
from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.mirrored_store import MirroredStore
from adapters.dual_write.relay import Relay
from adapters.dual_write.settings import DualWriteSettings
from adapters.dual_write.synchronisation import Mirror, StoredSynchronisation
from adapters.observability.observed_store import ObservedStore
from adapters.records.described import Described
from adapters.records.record_store import RecordStore
from application.ports.clock import Clock
from application.ports.diagnostics import CacheUse, SlowQuery
from application.ports.health import ComponentHealth, StoreFacts
from domain.errors import StoreUnavailable
from entrypoints.composition.arrangement import enter_as_source
from entrypoints.composition.guarded_target import GuardedTarget
from entrypoints.composition.schema import StoreSchema, bring_up, require_current
from entrypoints.composition.settings import EMBEDDED, Settings
from entrypoints.composition.stores import build_cache, build_store

PROBE_TIMEOUT_SECONDS = 2.0
OPEN_WAIT_SECONDS_MAX = 5.0
EMBEDDED_START_MS_MAX = 60_000


class StoreStack:
    """Source, target, the mirror between them, and the relay that mends it.

    `store` is what the repositories use. Before the stack is open it answers StoreUnavailable, which is what callers
    of a starting service should see. `relay` is None where a single store needs no mirror.
    """

    def __init__(self, *, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._dual_write = _with_time_to_start(settings)
        self._auto_migrate = settings.stores.auto_migrate
        self.source = build_store(settings.stores.source, settings.stores)
        self.raw_stores: list[RecordStore] = [self.source]
        self.store: RecordStore = self.source
        self.relay: Relay | None = None
        mirror = None if settings.stores.target is None else self._mirror(settings.stores.target, clock)
        self.synchronisation = StoredSynchronisation(
            self.source, mirror, settings=self._dual_write, clock=clock
        )
        self._target = None if mirror is None else mirror.target
        self._cache = build_cache(settings.cache_url)
        self._cached = None if self._cache is None else CachedStore(self.store, self._cache)
        self._observed = ObservedStore(
            self._cached or self.store, slow_ms=settings.stores.slow_query_ms, clock=clock
        )
        self.store = self._observed
        self._relaying: asyncio.Task[None] | None = None
        self.is_open = False

    def _mirror(self, target_name: str, clock: Clock) -> Mirror:
        settings = self._dual_write
        raw_target = build_store(target_name, self._settings.stores)
        self.raw_stores.append(raw_target)
        guarded = GuardedTarget(raw_target, source=self.source, is_migrated_here=self._auto_migrate)
        target = MirrorTarget(guarded, settings=settings)
        holder = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        relay = Relay(self.source, target, settings=settings, clock=clock, holder=holder)
        mirrored = MirroredStore(self.source, target, settings=settings, clock=clock, wake_relay=relay.wake)
        self.store, self.relay = mirrored, relay
        return Mirror(target, relay, mirrored.latencies)

    async def open(self, *, within_seconds: float | None = None) -> None:
        """Opens the store that requests need, waiting with back-off while it is down.

        Raises StoreUnavailable after `within_seconds` (None waits for ever), StoreRefused at once where waiting would
        not help, and UnmigratedStore where a person has to migrate first.
        """
        stop: stop_base = stop_never if within_seconds is None else stop_after_delay(within_seconds)
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(StoreUnavailable),
            wait=wait_exponential_jitter(multiplier=0.1, max=OPEN_WAIT_SECONDS_MAX, jitter=0.5),
            stop=stop,
            reraise=True,
            before_sleep=lambda state: logger.warning(
                "The {} store does not answer (attempt {}); trying again.",
                self.source.name,
                state.attempt_number,
            ),
        )
        async for attempt in retrying:
            with attempt:
                await self._open_once()
        self.is_open = True

    def start_relay(self) -> None:
        """Lets this process mend the mirror, too; `close` ends it."""
        if self.relay is not None and self._relaying is None:
            self._relaying = asyncio.create_task(self.relay.run(), name="relay")

    async def close(self) -> None:
        """Finishes what runs, the relay first, the stores last. Harmless when closed already."""
        self.is_open = False
        if self.relay is not None and self._relaying is not None:
            self.relay.stop()
            await self._relaying
            self._relaying = None
        await self.store.close()

    async def components(self) -> Mapping[str, ComponentHealth]:
        """The port HealthProbe."""
        parts = {"db": await self._health(self.source)}
        if self._target is not None:
            parts["target"] = await self._health(self._target)
        if self._cache is not None:
            # A cache that is set aside costs time and nothing else, so it is told and changes no status.
            detail = None if self._cache.in_use else "set aside; reads go to the store"
            parts["cache"] = ComponentHealth(up=self._cache.in_use, detail=detail)
        return parts

    def render_metrics(self) -> str:
        """What the store was asked so far, as Prometheus text."""
        return self._observed.metrics.render()

    def slow_queries(self) -> Sequence[SlowQuery]:
        """The port Diagnostics."""
        return [
            SlowQuery(
                at=slow.at,
                store=slow.store,
                operation=slow.operation,
                collection=slow.collection,
                outcome=slow.outcome,
                duration_ms=slow.duration_ms,
            )
            for slow in self._observed.slow_operations.newest()
        ]

    def cache_use(self) -> CacheUse | None:
        """The port Diagnostics."""
        if self._cached is None:
            return None
        statistics = self._cached.statistics
        return CacheUse(statistics.hits, statistics.misses, statistics.in_use)

    async def facts(self) -> Mapping[str, StoreFacts]:
        """What each store that answers says of itself, by name; one that does not answer is missing."""
        told = {}
        for store in self.raw_stores:
            with suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                    told[store.name] = (
                        await store.facts() if isinstance(store, Described) else StoreFacts(store.name)
                    )
        return told

    def schema(self) -> StoreSchema:
        """The schema of the stores in use; they must be open."""
        return StoreSchema(self.raw_stores)

    async def _open_once(self) -> None:
        await self.source.open()
        if self._auto_migrate:
            await bring_up(self.source)
        else:
            await require_current(self.source)
        arrangement = await enter_as_source(self.source, target=self._settings.stores.target)
        # The target is tied to the source's arrangement, so it comes after it.
        await self.store.open()
        if self._auto_migrate:
            await self.store.prepare()
        if self._cache is not None:
            self._cache.enter(
                CacheNamespace(
                    store=self.source.name,
                    database=self._settings.stores.database,
                    identity=arrangement.identity,
                    epoch=arrangement.epoch,
                )
            )

    async def _health(self, store: RecordStore | MirrorTarget) -> ComponentHealth:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                await store.ping()
        except (StoreUnavailable, TimeoutError):
            return ComponentHealth(up=False, detail=f"{store.name} does not answer")
        return ComponentHealth(up=True)


def _with_time_to_start(settings: Settings) -> DualWriteSettings:
    """A server of our own may have to be made first, which takes longer than reaching one that runs."""
    if settings.stores.postgres_url != EMBEDDED:
        return settings.dual_write
    return replace(settings.dual_write, connect_timeout_ms=EMBEDDED_START_MS_MAX)
