"""The stores of one process: opens them in order, waits while they do not answer, and closes them in reverse."""

import asyncio
import os
import secrets
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from adapters.cache.cached_store import CachedStore
from adapters.cache.record_cache import CacheNamespace
from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.mirrored_store import MirroredStore
from adapters.dual_write.relay import Relay
from adapters.dual_write.synchronisation import Mirror, StoredSynchronisation
from adapters.observability.observed_store import ObservedStore
from adapters.records.change_set import ChangeSet
from adapters.records.described import Described
from adapters.records.record_store import RecordStore
from application.ports.clock import Clock
from application.ports.diagnostics import CacheUse, SlowQuery
from application.ports.health import ComponentHealth, StoreFacts
from domain.errors import StoreUnavailable
from entrypoints.composition.schema import StoreSchema, bring_up, require_current
from entrypoints.composition.settings import EMBEDDED, Settings
from entrypoints.composition.stores import build_cache, build_store
from entrypoints.composition.topology import GuardedTarget, enter_as_source
from entrypoints.composition.waiting import until_available

PROBE_TIMEOUT_SECONDS = 2.0
EMBEDDED_START_MS_MAX = 60_000


class StoreStack:
    """Source, target, the mirror between them, and the relay that delivers pending entries.

    Repositories use `store`. Until the stack is open it raises StoreUnavailable, so callers of a service that starts
    get 503. `relay` is None for a single store.
    """

    def __init__(self, *, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._dual_write = settings.dual_write
        if settings.stores.postgres_url == EMBEDDED:
            # The server may have to be created first, which takes longer than connecting to one that runs.
            self._dual_write = replace(settings.dual_write, connect_timeout_ms=EMBEDDED_START_MS_MAX)
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
        guarded = GuardedTarget(raw_target, source=self.source, migrates=self._auto_migrate)
        target = MirrorTarget(guarded, settings=settings)
        holder = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        relay = Relay(self.source, target, settings=settings, clock=clock, holder=holder)
        mirrored = MirroredStore(self.source, target, settings=settings, clock=clock, wake_relay=relay.wake)
        self.store, self.relay = mirrored, relay
        return Mirror(target, relay, mirrored.latencies, self._commit)

    async def _commit(self, change_set: ChangeSet) -> None:
        """Commits through the outermost store, so that caches forget what changes."""
        await self.store.commit(change_set)

    async def open(self, *, within_seconds: float | None = None) -> None:
        """Opens the stores. Waits while the source does not answer; a target that does not answer is connected later.

        Raises StoreUnavailable after `within_seconds` (None waits for ever), StoreRefused at once where waiting would
        not help, and UnmigratedStore where an operator has to migrate first.
        """
        await until_available(self._open_once, store_name=self.source.name, within_seconds=within_seconds)
        self.is_open = True

    def start_relay(self) -> None:
        """Delivers pending entries in this process, until `close`."""
        if self.relay is not None and self._relaying is None:
            self._relaying = asyncio.create_task(self.relay.run(), name="relay")

    async def close(self) -> None:
        """Finishes running work, the relay first and the stores last. Harmless when closed already."""
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
        if self._cached is not None:
            # A bypassed cache only costs time, so it is reported and changes no status.
            in_use = self._cached.statistics.in_use
            detail = None if in_use else "bypassed; reads go to the store"
            parts["cache"] = ComponentHealth(up=in_use, detail=detail)
        return parts

    def render_metrics(self) -> str:
        """The counts and durations of store operations so far, as Prometheus text."""
        return self._observed.metrics.render()

    def slow_queries(self) -> Sequence[SlowQuery]:
        """The port Diagnostics."""
        return self._observed.slow_operations.newest()

    def cache_use(self) -> CacheUse | None:
        """The port Diagnostics."""
        if self._cached is None:
            return None
        statistics = self._cached.statistics
        return CacheUse(statistics.hits, statistics.misses, statistics.in_use)

    async def facts(self) -> Mapping[str, StoreFacts]:
        """Facts about each store by name, except stores that do not answer."""
        facts = {}
        for store in self.raw_stores:
            with suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                    facts[store.name] = (
                        await store.facts() if isinstance(store, Described) else StoreFacts(store.name)
                    )
        return facts

    def schema(self) -> StoreSchema:
        """The schema of the stores in use; they must be open."""
        return StoreSchema(self.raw_stores)

    async def _open_once(self) -> None:
        await self.source.open()
        if self._auto_migrate:
            await bring_up(self.source)
        else:
            await require_current(self.source)
        topology = await enter_as_source(self.source, target=self._settings.stores.target)
        if self._target is not None and self._auto_migrate:
            self._target.want_prepared()
        # The target is compared with the source's topology, so it follows.
        await self.store.open()
        if self._cache is not None:
            namespace = CacheNamespace(
                store=self.source.name,
                database=self._settings.stores.database,
                identity=topology.identity,
                epoch=topology.epoch,
            )
            self._cache.use_namespace(namespace)

    async def _health(self, store: RecordStore | MirrorTarget) -> ComponentHealth:
        try:
            async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                await store.ping()
        except (StoreUnavailable, TimeoutError):
            return ComponentHealth(up=False, detail=f"{store.name} does not answer")
        return ComponentHealth(up=True)
