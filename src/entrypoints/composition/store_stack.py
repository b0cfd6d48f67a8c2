"""The stores of one process: opens them in order, waits while they do not answer, and closes them in reverse."""

import asyncio
import time
from collections.abc import Collection, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from loguru import logger

from adapters.cache.cached_store import CachedStore
from adapters.cache.record_cache import CacheNamespace
from adapters.dual_write.relay import Relay
from adapters.migration.following import SourceState, owner_among, owner_in, source_state, successor_of
from adapters.migration.switching_store import SwitchingStore
from adapters.observability.observed_store import ObservedStore
from adapters.observability.store_metrics import render_damaged
from adapters.ownership.control import Gate, Ownership
from adapters.ownership.guarded_reads import GuardedReads
from adapters.ownership.process_identity import this_process
from adapters.ownership.refusals import other_owner
from adapters.ownership.source_side import SourceSide
from adapters.records.change_set import ChangeSet
from adapters.records.on_disk import OnDisk
from adapters.records.record_store import NothingStored, RecordStore
from application.ports.clock import Clock
from application.ports.diagnostics import CacheUse, SlowQuery
from application.ports.health import ComponentHealth
from domain.errors import StoreUnavailable
from domain.migration import Phase
from entrypoints.composition.direction import Direction
from entrypoints.composition.health import StackHealth
from entrypoints.composition.inspection import Problem, inspected, judged, require_begun
from entrypoints.composition.mirror_view import MirrorView
from entrypoints.composition.read_routing import StackReadRouting
from entrypoints.composition.schema import StoreSchema, bring_up, require_current
from entrypoints.composition.schema_watch import SchemaWatch
from entrypoints.composition.settings import Settings
from entrypoints.composition.stores import build_cache, build_store
from entrypoints.composition.waiting import until_available

FOLLOW_INTERVAL_SECONDS = 1.0


class StoreStack:
    """Source, target, the mirror between them, and the relay that delivers pending entries.

    Repositories use `store`. Until the stack is open it raises StoreUnavailable, so callers of a service that starts
    get 503. Which store is the source says the control record; the settings say it of a new installation.
    """

    is_open = False
    absent: Collection[str] = ()
    """The stores that `inspect` did not find at their places, by name: opening would create them."""
    _is_inspected = False

    def __init__(self, *, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._process = this_process()
        self._auto_migrate = settings.stores.auto_migrate
        self.stores = {name: build_store(name, settings.stores) for name in settings.stores.named}
        self.raw_stores: list[RecordStore] = list(self.stores.values())
        self.direction = self._directed(settings.stores.source, settings.stores.target)
        self.is_preparing = False
        """While a service starts and its records cannot be relied on yet."""
        self.switching = SwitchingStore(self.direction.store, follow=self.follow)
        self.synchronisation = MirrorView(lambda: self.direction.synchronisation)
        self._cache = build_cache(settings.cache_url)
        self._cached = None if self._cache is None else CachedStore(self.switching, self._cache)
        # Above the cache, which must hold nothing that a target behind the source has answered.
        self.read_routing = StackReadRouting(
            self._cached or self.switching,
            direction=lambda: self.direction,
            follow=self.follow,
            clock=clock,
        )
        self.observed = ObservedStore(
            GuardedReads(self.read_routing.store, source=lambda: self.ownership),
            slow_ms=settings.stores.slow_query_ms,
            clock=clock,
            errors=self.direction.errors,
        )
        """`store`, with what it measures."""
        self.store: RecordStore = self.observed
        self._schema_watch = SchemaWatch()
        self._following = asyncio.Lock()
        self._is_relaying = False
        self._relay_stopped = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._given_up: set[asyncio.Task[None]] = set()
        self._waits_for: str | None = None
        self.objections: Mapping[str, Problem] = {}
        """Why stores that `inspect` could read must not be used as they are, by name."""

    def _directed(self, source: str, target: str | None) -> Direction:
        directed = Direction(
            self.stores[source],
            None if target is None else self.stores[target],
            settings=self._settings,
            clock=self._clock,
            commit=self._commit,
            process=self._process,
        )
        directed.when_unconfirmed(self._note_unconfirmed)
        return directed

    @property
    def source(self) -> RecordStore:
        """The store that owns the writes."""
        return self.direction.source

    @property
    def ownership(self) -> SourceSide:
        """The guard of the source."""
        return self.direction.ownership

    @property
    def relay(self) -> Relay | None:
        """What delivers pending entries; None for a single store."""
        return self.direction.relay

    async def _commit(self, change_set: ChangeSet) -> None:
        """Commits through the outermost store, so that caches forget what changes."""
        await self.store.commit(change_set)

    def _note_unconfirmed(self, change_set: ChangeSet) -> None:
        self.read_routing.note_unconfirmed(change_set)

    async def follow(self) -> bool:
        """Looks at the control record of the source and uses the other store once that owns the writes. Undoes a move
        whose coordinator has ended. Returns whether the source takes writes now. Raises StoreUnavailable.
        """
        async with self._following:
            direction = self.direction
            match await source_state(direction.ownership, now=self._clock.now()):
                case SourceState.OWNER:
                    await self._drop_mirror_if_finished(direction)
                    return self.ownership.refusal is None
                case SourceState.MOVING:
                    return False
                case SourceState.SUCCEEDED:
                    await self._switch(direction)
                    return True

    async def forget_cached(self) -> None:
        """Caches anew: records were replaced beneath the cache. Raises StoreUnavailable."""
        self._use_namespace((await self.ownership.required()).ownership)

    async def _drop_mirror_if_finished(self, former: Direction) -> None:
        """Mirrors no more, once the control record of the source says so."""
        owner = None if former.raw_target is None else (await former.ownership.required()).ownership
        if owner is not None and owner.phase is Phase.FINISHED:
            alone = self._directed(former.raw_source.name, None)
            await alone.ownership.take_over()
            self._use(alone, owner)
            alone.start_heartbeat()
            self._begin(former.give_up(), name="ending the mirror")

    def _use(self, following: Direction, owner: Ownership) -> None:
        self.direction = following
        self.observed.watch(following.errors)
        self.switching.switch(following.store)
        self._use_namespace(owner)
        self.read_routing.learn(owner, asked_at=time.monotonic())

    async def _switch(self, former: Direction) -> None:
        if former.raw_target is None:
            raise StoreUnavailable(str(former.ownership.refusal))
        owner = await successor_of(former.raw_source, former.raw_target)
        is_mirrored = owner.mirror_to is not None
        following = self._directed(owner.store, former.raw_source.name if is_mirrored else None)
        following.put_off_target()
        await following.ownership.take_over()
        self._use(following, owner)
        self._begin(self._replaced(former, following), name="replacing the mirror")
        logger.info("The {} store owns the writes now (epoch {}).", owner.store, owner.epoch)

    async def _replaced(self, former: Direction, following: Direction) -> None:
        try:
            await former.give_up()
        finally:
            # Unless the ownership has moved on meanwhile.
            if following is self.direction:
                if self._is_relaying:
                    following.start_relay()
                await following.connect_late()

    def _use_namespace(self, ownership: Ownership) -> None:
        if self._cache is not None:
            namespace = CacheNamespace(
                store=ownership.store,
                database=self._settings.stores.database,
                identity=f"{ownership.installation}.{ownership.opening}",
                epoch=ownership.epoch,
                is_shared=not isinstance(self.stores[ownership.store], OnDisk),
            )
            self._cache.use_namespace(namespace)

    def _begin(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._given_up.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._given_up.remove(task)
        if not task.cancelled() and task.exception() is not None:
            logger.opt(exception=task.exception()).error("{} failed.", task.get_name())

    async def open(self, *, within_seconds: float | None = None, creates: bool = True) -> None:
        """Opens the stores. Waits while the source does not answer; a target that does not answer is connected later.

        Unless it `creates`, it begins no installation and no mirror, and raises NothingStored instead.

        Raises StoreUnavailable after `within_seconds` (None waits for ever), StoreRefused at once where waiting would
        not help, and UnmigratedStore where an operator has to migrate first.
        """
        await until_available(
            lambda: self._open_once(creates=creates),
            store_name=self.source.name,
            within_seconds=within_seconds,
            on_failure=self.note_cause,
        )
        self.note_cause(None)
        self.is_open = True

    async def inspect(self) -> Mapping[str, Problem]:
        """Opens the stores only to be read: creates, migrates, starts and claims nothing, and waits for nothing.

        Returns why stores cannot be read, by name. `objections` says afterwards why the others must not be used. Both
        open the breaker, whose reason is the same, where nothing can be mirrored.
        """
        self._is_inspected = True
        outcomes = await asyncio.gather(*map(inspected, self.raw_stores))
        problems = {
            store.name: problem
            for store, problem in zip(self.raw_stores, outcomes, strict=True)
            if problem is not None
        }
        self.absent = [name for name, problem in problems.items() if isinstance(problem, NothingStored)]
        self._turn_to(await owner_in([store for name, store in self.stores.items() if name not in problems]))
        target = self.direction.target
        readable = None if target is None or target.name in problems else self.direction.target_side
        problems, self.objections = await judged(problems, self.ownership, readable)
        if not problems and not self.objections:
            self.direction.note_inspected()
        if target is not None:
            # The target's own cause comes first.
            found = {**self.objections, **problems}
            named = [name for name in (target.name, self.source.name) if name in found]
            if named and not target.breaker.is_open:
                target.breaker.trip(str(found[named[0]]))
        return problems

    async def cache_trouble(self) -> str | None:
        """Asks the cache now: why it cannot be used; None if it answers, or if there is none."""
        return None if self._cache is None else await self._cache.check()

    def start_relay(self) -> None:
        """Delivers pending entries in this process, until `close`, whichever store is the source."""
        self._is_relaying = True
        self.direction.start_relay()

    async def relay_until_stopped(self) -> None:
        """`start_relay`, and returns after `stop_relaying`, once the current page is delivered."""
        self.start_relay()
        await self._relay_stopped.wait()
        await self.direction.stop_relay()

    def stop_relaying(self) -> None:
        """Ends `relay_until_stopped`."""
        self._is_relaying = False
        self._relay_stopped.set()

    async def close(self) -> None:
        """Finishes running work, the relay first and the stores last. Harmless when closed already."""
        self.is_open = False
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        await self.read_routing.close()
        if self._given_up:
            await asyncio.wait(self._given_up)
        await self.direction.stop()
        await self.store.close()

    async def components(self) -> Mapping[str, ComponentHealth]:
        """The port HealthProbe."""
        health = StackHealth(
            source=self.source,
            errors=self.direction.errors,
            target=self.direction.target,
            cached=self._cached,
            synchronisation=self.direction.synchronisation,
            is_preparing=self.is_preparing,
            obstacle=self.obstacle(),
            relay=self.direction.relay,
            clock=self._clock,
            raw_source=self.direction.raw_source,
            raw_target=self.direction.raw_target,
            schema_watch=self._schema_watch,
        )
        return await health.components()

    def note_cause(self, error: StoreUnavailable | None) -> None:
        """Shows why the start waits for the source; None once it does not."""
        self._waits_for = None if error is None else error.message

    def obstacle(self) -> str | None:
        """Why this process may not write, or where it only inspects, why a start may not; None if it may."""
        # Whoever only inspects never enters the source.
        refusal = self.objections.get(self.source.name) if self._is_inspected else self.ownership.refusal
        reason = self._waits_for or self.ownership.record.loss or refusal
        return None if reason is None else str(reason)

    def render_metrics(self) -> str:
        """The counts and durations of store operations so far, of routed reads, and of damaged records that are known,
        as Prometheus text.
        """
        damaged = render_damaged(self.direction.raw_source.name, self.direction.errors.damaged_count)
        return self.observed.metrics.render() + self.read_routing.render_metrics() + damaged

    def slow_queries(self) -> Sequence[SlowQuery]:
        """The port Diagnostics."""
        return self.observed.slow_operations.newest()

    def cache_use(self) -> CacheUse | None:
        """The port Diagnostics."""
        if self._cached is None:
            return None
        statistics = self._cached.statistics
        return CacheUse(statistics.hits, statistics.misses, statistics.in_use)

    def schema(self, *, without: Collection[str] = ()) -> StoreSchema:
        """The schema of the stores in use, which must be open, without those that cannot be read."""
        return StoreSchema([store for store in self.raw_stores if store.name not in without])

    async def _open_once(self, *, creates: bool) -> None:
        await self._choose_direction()
        direction = self.direction
        raw_source = direction.raw_source
        await raw_source.open()
        held = await self.ownership.check(self.direction.look_at_target)
        if not creates:
            require_begun(held, source=raw_source.name, target=self.ownership.settings.target)
        if self._auto_migrate:
            await bring_up(raw_source)
        else:
            await require_current(raw_source)
        ownership = await self.ownership.enter()
        await self._end_move(ownership)
        direction.start_heartbeat()
        if self.direction.target is not None and self._auto_migrate:
            self.direction.target.request_preparation()
        # The target is compared with the source, so it follows; the source takes writes only afterwards.
        await self.store.open()
        await self.ownership.begin_writes()
        self._use_namespace(ownership)
        await self.read_routing.use_routes()
        self.read_routing.start()
        if self._watching is None:
            self._watching = asyncio.create_task(self._keep_following(), name="following the owner")

    async def _end_move(self, ownership: Ownership) -> None:
        """Completes or undoes a move whose coordinator has ended. Raises StoreUnavailable where that is not sure."""
        former = self.direction.raw_target
        if ownership.gate is Gate.ARMED and former is not None:
            await successor_of(former, self.direction.raw_source)
            await self.ownership.take_over()
        elif ownership.move is not None:
            await source_state(self.ownership, now=self._clock.now())

    async def _choose_direction(self) -> None:
        """The control record says which store owns the writes; without one, the settings do."""
        if self._settings.stores.target is not None:
            named = [self.stores[name] for name in self._settings.stores.named]
            self._turn_to(await owner_among(*named, seconds_max=self.direction.connect_seconds))

    def _turn_to(self, owner: Ownership | None) -> None:
        if owner is not None and owner.store != self.direction.raw_source.name:
            if owner.mirror_to is None:
                logger.warning("{}", other_owner(self._settings.stores.source, owner))
            (former,) = (name for name in self.stores if name != owner.store)
            self._use(self._directed(owner.store, former if owner.mirror_to is not None else None), owner)

    async def _keep_following(self) -> None:
        while True:
            await asyncio.sleep(FOLLOW_INTERVAL_SECONDS)
            try:
                await self.follow()
                await self.read_routing.use_routes()
            except StoreUnavailable as error:
                logger.debug("The control record could not be read: {}", error.message)
                # An embedded server that has died is started again by a ping.
                with suppress(StoreUnavailable):
                    await self.direction.raw_source.ping()
            except Exception:  # noqa: BLE001 - otherwise this process would read a former owner for good
                logger.exception("The owner was not looked for")
