"""The stores of one process: opens them in order, waits while they do not answer, and closes them in reverse."""

import asyncio
import os
import secrets
import socket
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace

from adapters.cache.cached_store import CachedStore
from adapters.cache.record_cache import CacheNamespace
from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.mirrored_store import MirroredStore
from adapters.dual_write.relay import Relay
from adapters.dual_write.settings import DualWriteSettings
from adapters.dual_write.synchronisation import Mirror, StoredSynchronisation
from adapters.observability.observed_store import ObservedStore
from adapters.observability.recent_errors import RecentErrors
from adapters.observability.watched_store import WatchedStore
from adapters.ownership.control import Ownership
from adapters.ownership.heartbeat import Heartbeat
from adapters.ownership.last_seen import LastSeen
from adapters.ownership.owned_stores import OwnedSource, OwnedTarget
from adapters.ownership.source_side import SourceSettings, SourceSide
from adapters.ownership.stamps import AppliedStamps
from adapters.ownership.target_side import TargetSide
from adapters.records.change_set import ChangeSet
from adapters.records.described import Described
from adapters.records.lanes import LanedStore
from adapters.records.on_disk import OnDisk
from adapters.records.record_store import RecordStore, StoreRefused
from application.ports.clock import Clock
from application.ports.diagnostics import CacheUse, SlowQuery
from application.ports.health import ComponentHealth, StoreFacts
from application.ports.schema import OldRecords, SchemaReport, SchemaState
from domain.errors import StoreUnavailable
from entrypoints.composition.health import StackHealth
from entrypoints.composition.inspection import Problem, inspected, objections
from entrypoints.composition.schema import StoreSchema, bring_up, require_current, rewrite_once
from entrypoints.composition.settings import EMBEDDED, Settings
from entrypoints.composition.stores import build_cache, build_store
from entrypoints.composition.waiting import until_available

PROBE_TIMEOUT_SECONDS = 2.0
FILES_INTERVAL_SECONDS = 1.0
EMBEDDED_START_MS_MAX = 60_000


class StoreStack:
    """Source, target, the mirror between them, and the relay that delivers pending entries.

    Repositories use `store`. Until the stack is open it raises StoreUnavailable, so callers of a service that starts
    get 503. `relay` is None for a single store.
    """

    def __init__(self, *, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._dual_write = _patient(settings)
        self._auto_migrate = settings.stores.auto_migrate
        raw_source = build_store(settings.stores.source, settings.stores)
        self.raw_stores: list[RecordStore] = [raw_source]
        self._stamps = AppliedStamps()
        self.ownership = _source_side(raw_source, settings)
        self._raw_target: LanedStore | None = None
        self._target_side: TargetSide | None = None
        self._owned_target: OwnedTarget | None = None
        # A single store has no mirror that another copy could feed.
        self._heartbeat = Heartbeat(())
        self.source: RecordStore = OwnedSource(raw_source, self.ownership, self._stamps)
        self.is_preparing = False
        """True while a service starts and its records cannot be relied on yet."""
        self.relay: Relay | None = None
        self._errors = RecentErrors(self.source)
        self._watched = WatchedStore(self.source, self._errors)
        self.store: RecordStore = self.source
        mirror = None if settings.stores.target is None else self._mirror(settings.stores.target, clock)
        self.synchronisation = StoredSynchronisation(
            self._watched, mirror, settings=self._dual_write, clock=clock
        )
        self._target = None if mirror is None else mirror.target
        self._cache = build_cache(settings.cache_url)
        self._cached = None if self._cache is None else CachedStore(self.store, self._cache)
        self._observed = ObservedStore(
            self._cached or self.store,
            slow_ms=settings.stores.slow_query_ms,
            clock=clock,
            errors=self._errors,
        )
        self.store = self._observed
        self._relaying: asyncio.Task[None] | None = None
        self._waits_for: str | None = None
        self.is_open = False
        self.objections: Mapping[str, Problem] = {}
        """Why stores that `inspect` could read must not be used as they are, by name."""

    def _mirror(self, target_name: str, clock: Clock) -> Mirror:
        settings = self._dual_write
        raw_target = build_store(target_name, self._settings.stores)
        self.raw_stores.append(raw_target)
        self._raw_target = raw_target
        self._target_side = TargetSide(raw_target, self.ownership)
        owned = OwnedTarget(
            raw_target,
            self._target_side,
            self._stamps,
            bring_up=_bring_up_target if self._auto_migrate else None,
            require_current=require_current,
        )
        self._owned_target = owned
        self._heartbeat = Heartbeat((self.ownership.beat, owned.beat))
        target = MirrorTarget(owned, settings=settings)
        holder = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        relay = Relay(self._watched, target, settings=settings, clock=clock, holder=holder)
        mirrored = MirroredStore(
            self.source,
            target,
            settings=settings,
            clock=clock,
            wake_relay=relay.wake,
            note_request=relay.pace.note_request,
        )
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
        await until_available(
            self._open_once,
            store_name=self.source.name,
            within_seconds=within_seconds,
            on_failure=self._note_cause,
        )
        self._waits_for = None
        self.is_open = True

    async def inspect(self) -> Mapping[str, Problem]:
        """Opens the stores only to be read: creates, migrates, starts and claims nothing, and waits for nothing.

        Returns why stores cannot be read, by name. `objections` says afterwards why the others must not be used. Both
        open the breaker, whose reason is the same, where nothing can be mirrored.
        """
        outcomes = await asyncio.gather(*map(inspected, self.raw_stores))
        problems = {
            store.name: problem
            for store, problem in zip(self.raw_stores, outcomes, strict=True)
            if problem is not None
        }
        if self.source.name not in problems:
            can_read_target = self._target is not None and self._target.name not in problems
            self.objections = await objections(
                self.ownership, self._target_side, can_read_target=can_read_target
            )
        if self._owned_target is not None and not problems and not self.objections:
            self._owned_target.note_inspected()
        if self._target is not None:
            # The target's own cause comes first.
            found = {**self.objections, **problems}
            for name in (self._target.name, self.source.name):
                if name in found and not self._target.breaker.is_open:
                    self._target.breaker.trip(str(found[name]))
        return problems

    async def require_own_stores(self) -> None:
        """Checks whose the opened stores are, before an operator changes their schema; changes no schema and no record.

        Raises StoreRefused for another installation's store, a mirror named as source, a target that another copy
        feeds, or a source that is an older copy, which a migration would write into; StoreUnavailable while that is not
        known.
        """
        held = await self.ownership.inspect(self._look_at_target)
        if self._target_side is not None:
            target = self._target_side
            await (target.look_beside_new_source() if held is None else target.require_newest_source())

    async def require_current_source(self) -> None:
        """Raises UnmigratedStore if this program cannot read the source, which is open, before it was migrated."""
        await require_current(self.source)

    async def cache_trouble(self) -> str | None:
        """Asks the cache now: why it cannot be used; None if it answers, or if there is none."""
        return None if self._cache is None else await self._cache.check()

    def start_relay(self) -> None:
        """Delivers pending entries in this process, until `close`."""
        if self.relay is not None and self._relaying is None:
            self._relaying = asyncio.create_task(self.relay.run(), name="relay")

    async def until_files_are_gone(self) -> None:
        """Never returns. Raises StoreRefused once files of a store were removed while they are in use."""
        on_disk = [store for store in self.raw_stores if isinstance(store, OnDisk)]
        while True:
            for store in on_disk:
                store.require_files()
            await asyncio.sleep(FILES_INTERVAL_SECONDS)

    async def close(self) -> None:
        """Finishes running work, the relay first and the stores last. Harmless when closed already."""
        self.is_open = False
        if self.relay is not None and self._relaying is not None:
            self.relay.stop()
            await self._relaying
            self._relaying = None
        await self._heartbeat.stop()
        await self.store.close()

    async def components(self) -> Mapping[str, ComponentHealth]:
        """The port HealthProbe."""
        health = StackHealth(
            source=self.source,
            errors=self._errors,
            target=self._target,
            cached=self._cached,
            synchronisation=self.synchronisation,
            is_preparing=self.is_preparing,
            obstacle=self._obstacle(),
            relay=self.relay,
            clock=self._clock,
        )
        return await health.components()

    def _note_cause(self, error: StoreUnavailable) -> None:
        self._waits_for = error.message

    def _obstacle(self) -> str | None:
        if self._waits_for is not None:
            return self._waits_for
        reason = self.ownership.refusal
        return None if reason is None else str(reason)

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

    def schema_without(self, unreadable: Collection[str]) -> StoreSchema:
        """The schema of the stores that are open, without those that cannot be read."""
        return StoreSchema([store for store in self.raw_stores if store.name not in unreadable])

    async def schema_report(self) -> SchemaReport:
        """The schema of the stores that answer and may be used; changes nothing."""
        states: list[SchemaState] = []
        waiting: list[OldRecords] = []
        unreadable: dict[str, str] = {}
        for store in self.raw_stores:
            try:
                async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                    await store.ping()
                    await self._require_own(store)
                schema = StoreSchema([store])
                states += await schema.states()
                waiting += await schema.waiting()
            except StoreUnavailable as error:
                unreadable[store.name] = f"{store.name}: {self._cause_of(store) or error.message}"
            except StoreRefused as refused:
                unreadable[store.name] = f"{store.name}: {refused}"
            except TimeoutError:
                unreadable[store.name] = f"{store.name} does not answer."
        return SchemaReport(states=states, waiting=waiting, unreadable=unreadable)

    def _cause_of(self, store: RecordStore) -> str | None:
        """Why a target that does not answer is not called, which says more than an attempt without a connection."""
        return self._target.breaker.reason if self._target is not None and store is self._raw_target else None

    async def _require_own(self, store: RecordStore) -> None:
        """Raises StoreUnavailable and StoreRefused for an opened store that a start would not use."""
        if store is self._raw_target and self._target_side is not None:
            await self._target_side.look()
        elif (obstacle := self._obstacle()) is not None:
            raise StoreUnavailable(obstacle)

    async def _open_once(self) -> None:
        raw_source = self.ownership.store
        await raw_source.open()
        await self.ownership.check(self._look_at_target)
        if self._auto_migrate:
            await bring_up(raw_source)
        else:
            await require_current(raw_source)
        ownership = await self.ownership.enter()
        self._heartbeat.start()
        if self._target is not None and self._auto_migrate:
            self._target.want_prepared()
        # The target is compared with the source, so it follows; the source takes writes only afterwards.
        await self.store.open()
        await self.ownership.settle()
        if self._cache is not None:
            namespace = CacheNamespace(
                store=self.source.name,
                database=self._settings.stores.database,
                identity=ownership.installation,
                epoch=ownership.epoch,
            )
            self._cache.use_namespace(namespace)

    async def _look_at_target(self) -> Ownership | None:
        """Who the target belongs to, for a source without a control record; None if it is empty or not reachable."""
        if self._raw_target is None or self._target_side is None:
            return None
        try:
            async with asyncio.timeout(self._dual_write.connect_timeout_ms / 1000):
                await self._raw_target.open()
                return await self._target_side.ownership()
        except (StoreUnavailable, StoreRefused, TimeoutError):
            return None


def _source_side(raw_source: LanedStore, settings: Settings) -> SourceSide:
    own = SourceSettings(
        target=settings.stores.target,
        last_seen=LastSeen(settings.stores.lasting_directory),
        is_alone=settings.stores.is_alone,
    )
    return SourceSide(raw_source, own)


def _patient(settings: Settings) -> DualWriteSettings:
    """The settings of the mirror, with more time to connect where an embedded server may have to be created first."""
    if settings.stores.postgres_url != EMBEDDED:
        return settings.dual_write
    return replace(settings.dual_write, connect_timeout_ms=EMBEDDED_START_MS_MAX)


async def _bring_up_target(store: RecordStore) -> None:
    await bring_up(store)
    await rewrite_once(store)
