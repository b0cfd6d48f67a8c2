"""The stores of one process: opens them in order, waits while they do not answer, and closes them in reverse."""

import asyncio
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from loguru import logger

from adapters.cache.cached_store import CachedStore
from adapters.cache.record_cache import CacheNamespace
from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.relay import Relay
from adapters.migration.following import Standing, owner_among, record_of, standing_of, successor_of
from adapters.migration.switching_store import SwitchingStore
from adapters.observability.observed_store import ObservedStore
from adapters.ownership.control import Ownership
from adapters.ownership.process_identity import this_process
from adapters.ownership.refusals import other_owner
from adapters.ownership.source_side import SourceSide
from adapters.records.change_set import ChangeSet
from adapters.records.described import Described
from adapters.records.on_disk import OnDisk
from adapters.records.record_store import RecordStore, StoreRefused
from application.ports.clock import Clock
from application.ports.diagnostics import CacheUse, SlowQuery
from application.ports.health import ComponentHealth, StoreFacts
from application.ports.schema import OldRecords, SchemaReport, SchemaState
from domain.errors import StoreUnavailable
from entrypoints.composition.direction import Direction
from entrypoints.composition.health import StackHealth
from entrypoints.composition.inspection import Problem, inspected, objections
from entrypoints.composition.mirror_view import MirrorView
from entrypoints.composition.schema import StoreSchema, bring_up, require_current
from entrypoints.composition.settings import Settings
from entrypoints.composition.settings_check import owner_of
from entrypoints.composition.stores import build_cache, build_store
from entrypoints.composition.waiting import until_available

PROBE_TIMEOUT_SECONDS = 2.0
FILES_INTERVAL_SECONDS = 1.0
FOLLOW_INTERVAL_SECONDS = 1.0
HOLD_SECONDS_MAX = 3.0


class StoreStack:
    """Source, target, the mirror between them, and the relay that delivers pending entries.

    Repositories use `store`. Until the stack is open it raises StoreUnavailable, so callers of a service that starts
    get 503. Which store is the source says the control record; the settings say it of a new installation.
    """

    def __init__(self, *, settings: Settings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._process = this_process()
        self._auto_migrate = settings.stores.auto_migrate
        self._raw = {name: build_store(name, settings.stores) for name in settings.stores.named}
        self.raw_stores: list[RecordStore] = list(self._raw.values())
        self.direction = self._directed(settings.stores.source, settings.stores.target)
        self.is_preparing = False
        """True while a service starts and its records cannot be relied on yet."""
        self._switching = SwitchingStore(self.direction.store, follow=self.follow)
        self.synchronisation = MirrorView(lambda: self.direction.synchronisation)
        self._cache = build_cache(settings.cache_url)
        self._cached = None if self._cache is None else CachedStore(self._switching, self._cache)
        self._observed = ObservedStore(
            self._cached or self._switching,
            slow_ms=settings.stores.slow_query_ms,
            clock=clock,
            errors=self.direction.errors,
        )
        self.store: RecordStore = self._observed
        self._following = asyncio.Lock()
        self._is_relaying = False
        self._relay_stopped = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._given_up: set[asyncio.Task[None]] = set()
        self._waits_for: str | None = None
        self.is_open = False
        self.objections: Mapping[str, Problem] = {}
        """Why stores that `inspect` could read must not be used as they are, by name."""

    def _directed(self, source: str, target: str | None) -> Direction:
        return Direction(
            self._raw[source],
            None if target is None else self._raw[target],
            settings=self._settings,
            clock=self._clock,
            commit=self._commit,
            process=self._process,
        )

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

    @property
    def _target(self) -> MirrorTarget | None:
        return self.direction.target

    async def _commit(self, change_set: ChangeSet) -> None:
        """Commits through the outermost store, so that caches forget what changes."""
        await self.store.commit(change_set)

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Lets the writes of this process wait, once those under way have ended. Raises StoreUnavailable."""
        async with self._switching.held(seconds_max=HOLD_SECONDS_MAX):
            yield

    @property
    def last_pause_ms(self) -> int:
        """How long writes waited during the last move that this process coordinated."""
        return round(self._switching.last_held_seconds * 1000)

    async def follow(self) -> bool:
        """Looks at the control record of the source and uses the other store once that owns the writes. Undoes a move
        whose coordinator has ended. Returns whether the source takes writes now. Raises StoreUnavailable.
        """
        async with self._following:
            direction = self.direction
            match await standing_of(direction.ownership, now=self._clock.now()):
                case Standing.OWNER:
                    return direction.ownership.refusal is None
                case Standing.MOVING:
                    return False
                case Standing.SUCCEEDED:
                    await self._switch(direction)
                    return True

    async def forget_cached(self) -> None:
        """Caches anew, because records of the source were replaced beneath the cache. Raises StoreUnavailable."""
        self._use_namespace((await self.ownership.required()).ownership)

    async def drop_mirror(self) -> None:
        """Mirrors no more, once the control record of the source says so."""
        async with self._following:
            former = self.direction
            alone = self._directed(former.raw_source.name, None)
            await alone.ownership.take_over()
            self._use(alone, (await alone.ownership.required()).ownership)
            self._begin(former.give_up(), name="ending the mirror")

    def _use(self, following: Direction, owner: Ownership) -> None:
        self.direction = following
        self._observed.watch(following.errors)
        self._switching.switch(following.store)
        self._use_namespace(owner)

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
        await former.give_up()
        await following.connect_late()
        if self._is_relaying:
            following.start_relay()

    def _use_namespace(self, ownership: Ownership) -> None:
        if self._cache is not None:
            namespace = CacheNamespace(
                store=ownership.store,
                database=self._settings.stores.database,
                identity=f"{ownership.installation}.{ownership.opening}",
                epoch=ownership.epoch,
            )
            self._cache.use_namespace(namespace)

    def _begin(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        task = asyncio.create_task(work, name=name)
        self._given_up.add(task)
        task.add_done_callback(self._given_up.discard)

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
        await self._choose_among_readable(problems)
        if self.source.name not in problems:
            can_read_target = self._target is not None and self._target.name not in problems
            self.objections = await objections(
                self.ownership, self.direction.target_side, can_read_target=can_read_target
            )
        if not problems and not self.objections:
            self.direction.note_inspected()
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
        target = self.direction.target_side
        if target is not None:
            await (target.look_beside_new_source() if held is None else target.require_newest_source())

    async def require_current_source(self) -> None:
        """Raises UnmigratedStore if this program cannot read the source, which is open, before it was migrated."""
        await require_current(self.source)

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
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
        if self._given_up:
            await asyncio.wait(self._given_up)
        await self.direction.stop()
        await self.store.close()

    async def components(self) -> Mapping[str, ComponentHealth]:
        """The port HealthProbe."""
        health = StackHealth(
            source=self.source,
            errors=self.direction.errors,
            target=self._target,
            cached=self._cached,
            synchronisation=self.direction.synchronisation,
            is_preparing=self.is_preparing,
            obstacle=self._obstacle(),
            relay=self.direction.relay,
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
        return (
            self._target.breaker.reason
            if self._target is not None and store is self.direction.raw_target
            else None
        )

    async def _require_own(self, store: RecordStore) -> None:
        """Raises StoreUnavailable and StoreRefused for an opened store that a start would not use."""
        if store is self.direction.raw_target and self.direction.target_side is not None:
            await self.direction.target_side.look()
        elif (obstacle := self._obstacle()) is not None:
            raise StoreUnavailable(obstacle)

    async def _open_once(self) -> None:
        await self._choose_direction()
        direction = self.direction
        raw_source = direction.raw_source
        await raw_source.open()
        await self.ownership.check(self._look_at_target)
        if self._auto_migrate:
            await bring_up(raw_source)
        else:
            await require_current(raw_source)
        ownership = await self.ownership.enter()
        direction.start_heartbeat()
        if self._target is not None and self._auto_migrate:
            self._target.want_prepared()
        # The target is compared with the source, so it follows; the source takes writes only afterwards.
        await self.store.open()
        await self.ownership.settle()
        self._use_namespace(ownership)
        if self._watching is None:
            self._watching = asyncio.create_task(self._keep_following(), name="following the owner")

    async def _choose_direction(self) -> None:
        """The control record says which store owns the writes; without one, the settings do."""
        first, second = self._settings.stores.source, self._settings.stores.target
        if second is None:
            return
        owner = await owner_among(
            self._raw[first], self._raw[second], seconds_max=self.direction.connect_seconds
        )
        if owner is not None and owner.store != first and owner.mirror_to is None:
            logger.warning("{}", other_owner(first, owner))
        self._turn_to(owner)

    async def _choose_among_readable(self, problems: Mapping[str, Problem]) -> None:
        """`_choose_direction` for stores that are only open to be read."""
        if self._settings.stores.target is None or problems:
            return
        records = {}
        # What cannot be read is found and reported by the comparison.
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(PROBE_TIMEOUT_SECONDS):
                for name, store in self._raw.items():
                    if (found := await record_of(store)) is not None:
                        records[name] = found
        self._turn_to(owner_of(records))

    def _turn_to(self, owner: Ownership | None) -> None:
        """Makes this store the source, if another one is."""
        if owner is None or owner.store == self.direction.raw_source.name:
            return
        other = next(name for name in self._raw if name != owner.store)
        self.direction = self._directed(owner.store, other if owner.mirror_to is not None else None)
        self._observed.watch(self.direction.errors)
        self._switching.switch(self.direction.store)

    async def _keep_following(self) -> None:
        while True:
            await asyncio.sleep(FOLLOW_INTERVAL_SECONDS)
            try:
                await self.follow()
            except StoreUnavailable as error:
                logger.debug("The control record could not be read: {}", error.message)

    async def _look_at_target(self) -> Ownership | None:
        """Who the target belongs to, for a source without a control record; None if it is empty or not reachable."""
        if self.direction.raw_target is None or self.direction.target_side is None:
            return None
        try:
            async with asyncio.timeout(self.direction.connect_seconds):
                await self.direction.raw_target.open()
                return await self.direction.target_side.ownership()
        except (StoreUnavailable, StoreRefused, TimeoutError):
            return None
