"""A source, the target that receives its mirror, and everything between them, while the source is the owner."""

import asyncio
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from adapters.dual_write.mirror_target import MirrorTarget
from adapters.dual_write.mirrored_store import MirroredStore
from adapters.dual_write.relay import Relay
from adapters.dual_write.settings import DualWriteSettings
from adapters.dual_write.synchronisation import Commit, Mirror, StoredSynchronisation
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
from adapters.records.indexes import UNDELIVERED_ENTRIES
from adapters.records.lanes import ProcessIdentity
from adapters.records.record_store import RecordStore, StoreRefused
from adapters.records.rehearsing import Rehearsing
from adapters.records.specs import AUDIT_LOGS
from application.ports.clock import Clock
from domain.errors import Conflict, StoreUnavailable
from domain.migration import NO_TARGET
from entrypoints.composition.addresses import EMBEDDED
from entrypoints.composition.schema import bring_up, require_current, rewrite_once
from entrypoints.composition.settings import Settings
from entrypoints.composition.stores import CompleteStore

EMBEDDED_START_MS_MAX = 60_000
BEING_COMPARED = "It is being compared with the new owner of the writes."


@dataclass(slots=True, eq=False)
class _MirrorParts:
    """What exists only where there is a target."""

    raw: CompleteStore
    side: TargetSide
    owned: OwnedTarget
    target: MirrorTarget
    relay: Relay
    mirrored: MirroredStore


class Direction:
    """`store` is what repositories use: the source, mirrored to the target if there is one.

    Both raw stores outlive it: a change of ownership replaces it by one in the opposite direction. `commit` commits
    through everything that has to know of a change.
    """

    def __init__(
        self,
        source: CompleteStore,
        target: CompleteStore | None,
        *,
        settings: Settings,
        clock: Clock,
        commit: Commit,
        process: ProcessIdentity,
    ) -> None:
        self.raw_source = source
        """The store that owns the writes, as its adapter offers it."""
        self._settings = settings
        self._dual_write = _patient(settings)
        self._stamps = AppliedStamps()
        own = SourceSettings(
            target=None if target is None else target.name,
            last_seen=LastSeen(settings.stores.lasting_directory),
            is_alone=settings.stores.is_alone,
            process=process,
        )
        self.ownership = SourceSide(source, own)
        self.source: RecordStore = OwnedSource(source, self.ownership, self._stamps)
        rehearsing = source if isinstance(source, Rehearsing) else None
        self.errors = RecentErrors(self.source, rehearsing=rehearsing)
        self._watched = WatchedStore(self.source, self.errors)
        self._mirror = None if target is None else self._mirrored(target, clock)
        mirror = self._mirror
        parts = (
            None if mirror is None else Mirror(mirror.target, mirror.relay, mirror.mirrored.latencies, commit)
        )
        self.synchronisation = StoredSynchronisation(
            self._watched, parts, settings=self._dual_write, clock=clock
        )
        # Also without a target: a cut-over by another process must see this one.
        beats = [self.ownership.beat] if mirror is None else [self.ownership.beat, mirror.owned.beat]
        self._heartbeat = Heartbeat(beats)
        self._relaying: asyncio.Task[None] | None = None

    def _mirrored(self, raw: CompleteStore, clock: Clock) -> _MirrorParts:
        settings = self._dual_write
        side = TargetSide(raw, self.ownership)
        owned = OwnedTarget(
            raw,
            side,
            self._stamps,
            bring_up=_bring_up_target if self._settings.stores.auto_migrate else None,
            require_current=require_current,
        )
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
        return _MirrorParts(raw, side, owned, target, relay, mirrored)

    @property
    def store(self) -> RecordStore:
        """What repositories use."""
        return self.source if self._mirror is None else self._mirror.mirrored

    @property
    def raw_target(self) -> CompleteStore | None:
        """The store that receives the mirror, as its adapter offers it."""
        return None if self._mirror is None else self._mirror.raw

    @property
    def applier(self) -> RecordStore:
        """The target as the mirror uses it, by lanes of this process. Raises Conflict for a single store."""
        if self._mirror is None:
            raise Conflict(NO_TARGET)
        return self._mirror.owned

    @property
    def target_side(self) -> TargetSide | None:
        """The guard of the target."""
        return None if self._mirror is None else self._mirror.side

    @property
    def target(self) -> MirrorTarget | None:
        """The target with its breaker."""
        return None if self._mirror is None else self._mirror.target

    @property
    def relay(self) -> Relay | None:
        """What delivers pending entries."""
        return None if self._mirror is None else self._mirror.relay

    @property
    def connect_seconds(self) -> float:
        """How long connecting the target may take."""
        return self._dual_write.connect_timeout_ms / 1000

    def when_unconfirmed(self, listener: Callable[[ChangeSet], None]) -> None:
        """Calls the listener with each change set that is durable in the source and that the target did not confirm."""
        if self._mirror is not None:
            self._mirror.mirrored.on_unconfirmed = listener

    def start_heartbeat(self) -> None:
        """Shows from now on that this process is alive."""
        self._heartbeat.start()

    def start_relay(self) -> None:
        """Delivers pending entries in this process, until `stop`."""
        if self.relay is not None and self._relaying is None:
            self._relaying = asyncio.create_task(self.relay.run(), name="relay")

    async def connect_late(self) -> None:
        """Connects the target after the source has begun to take writes; until then they wait for the relay.

        A target that does not answer is connected by the relay.
        """
        self.start_heartbeat()
        if self.target is not None and self._settings.stores.auto_migrate:
            self.target.request_preparation()
        await self.store.open()
        if self.target is not None and await self.target.answers():
            self.target.breaker.close()

    def put_off_target(self) -> None:
        """Sends nothing to the target until it is connected."""
        if self.target is not None:
            self.target.breaker.trip(BEING_COMPARED, names_cause=False)

    async def target_trouble(self) -> str | None:
        """Why nothing can be delivered to the target at present; None if it can."""
        target = self.target
        if target is None:
            return NO_TARGET
        if target.breaker.is_open:
            return target.breaker.reason or "It is not connected."
        return (
            None if await target.answers() else "It does not answer, or was not compared with the source yet."
        )

    @property
    def refusal_of_target(self) -> str | None:
        """Why the target is not called, whether it answers or not; None if it is, or if there is none."""
        return None if self.target is None else self.target.breaker.reason

    async def require_target(self) -> CompleteStore:
        """The target as its adapter offers it, for a step that reads or fills it.

        Raises Conflict for a single store, and StoreUnavailable, with the cause that health shows, for a target that
        does not answer.
        """
        if self._mirror is None:
            raise Conflict(NO_TARGET)
        await self._mirror.target.require_answer()
        return self._mirror.raw

    def note_inspected(self) -> None:
        """The stores were compared by whoever only asks, and nothing was found."""
        if self._mirror is not None:
            self._mirror.owned.note_inspected()

    async def deliver(self) -> None:
        """Delivers what is due to the target. Raises StoreUnavailable."""
        if self.relay is not None:
            await self.relay.drain()

    async def undelivered(self) -> int:
        """How many entries the target has not confirmed, those without a mark included. Raises StoreUnavailable."""
        return await self.source.count(AUDIT_LOGS.collection, UNDELIVERED_ENTRIES)

    async def stop_relay(self) -> None:
        """Ends the relay after its current page."""
        if self.relay is not None and self._relaying is not None:
            self.relay.stop()
            await self._relaying
            self._relaying = None

    @asynccontextmanager
    async def undisturbed(self, reason: str) -> AsyncIterator[None]:
        """Delivers nothing in this process meanwhile; the reason is shown. Afterwards the target is connected anew."""
        is_relaying = self._relaying is not None
        if self.target is not None:
            self.target.breaker.trip(reason)
        await self.stop_relay()
        try:
            yield
        finally:
            if self.relay is not None and is_relaying:
                self.relay.resume()
                self.start_relay()

    async def look_at_target(self) -> Ownership | None:
        """Who the target belongs to, for a source without a control record; None if it is empty or not reachable."""
        if self.raw_target is None or self.target_side is None:
            return None
        try:
            async with asyncio.timeout(self.connect_seconds):
                await self.raw_target.open()
                return await self.target_side.ownership()
        except (StoreUnavailable, StoreRefused, TimeoutError):
            return None

    async def stop(self) -> None:
        """Ends the background work of this process. The stores stay open."""
        await self.stop_relay()
        await self._heartbeat.stop()

    async def give_up(self) -> None:
        """Ends for good, once another store owns the writes: finishes the mirror, leaves both stores open."""
        await self.stop()
        if self._mirror is not None:
            await self._mirror.mirrored.finish()
            await self._mirror.target.finish()


def _patient(settings: Settings) -> DualWriteSettings:
    """The settings of the mirror, with more time to connect where an embedded server may have to be created first."""
    if settings.stores.postgres_url != EMBEDDED:
        return settings.dual_write
    return replace(settings.dual_write, connect_timeout_ms=EMBEDDED_START_MS_MAX)


async def _bring_up_target(store: RecordStore) -> None:
    await bring_up(store)
    await rewrite_once(store)
