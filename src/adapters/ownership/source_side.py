"""One process's use of a source: enters it, opens its gate, and closes it for everybody where it is an older copy."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from loguru import logger

from adapters.ownership import control, refusals
from adapters.ownership.control import Gate, Held, Ownership, Role
from adapters.ownership.last_seen import LastSeen
from adapters.ownership.process_identity import this_process
from adapters.ownership.refusals import OlderSource, Stranger, WritesRefused
from adapters.records.lanes import LanedStore, LaneLost, ProcessIdentity
from adapters.records.record_store import SchemaMissing, StoreRefused
from domain.errors import StoreUnavailable, VersionConflict

RACES_MAX = 5
"""How often other processes may change the control record first."""
NO_TARGET = "the target"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceSettings:
    """`target` is the name of the store that receives the mirror. `is_alone`: the operator vouches for the source."""

    target: str | None
    last_seen: LastSeen
    is_alone: bool = False
    process: ProcessIdentity = field(default_factory=this_process)


class SourceSide:
    """The guard of a source. It takes writes from `settle` on, unless `refusal` says why not."""

    def __init__(self, store: LanedStore, settings: SourceSettings) -> None:
        self.store = store
        self.settings = settings
        self.me = settings.process
        self.started = time.monotonic()
        self.is_compared = False
        """Whether the source was compared with its target in this process."""
        self.compare_again: Callable[[], Awaitable[None]] | None = None
        self._entering = asyncio.Lock()
        self._has_lanes = False
        self.refusal: StoreRefused | WritesRefused | None = refusals.not_entered()
        """Why the source takes no writes; None while its gate is open."""
        self.suspicion: str | None = None
        """Another process that feeds the target and may have ended: nothing is written before that is known."""

    @property
    def target_name(self) -> str:
        """The name of the target for messages."""
        return self.settings.target or NO_TARGET

    async def check(
        self, look_at_target: Callable[[], Awaitable[Ownership | None]] | None = None
    ) -> Held | None:
        """The control record of the source; None for a new one. Writes nothing, so it can stand before a migration.

        `look_at_target` reads the control record of the target where it can be reached: beside a filled target an empty
        source is refused. Raises StoreRefused for a source that this process must not use, StoreUnavailable.
        """
        try:
            held = await control.read(self.store)
        except SchemaMissing:
            held = None
        if held is not None:
            self._require_usable(held.ownership)
            return held
        found = None if look_at_target is None else await look_at_target()
        if found is not None:
            raise refusals.emptied_source(self.store.name, found)
        last_seen = self.settings.last_seen
        if last_seen.installation() is not None:
            raise refusals.known_but_empty(self.store.name, str(last_seen.path))
        return None

    async def enter(self) -> Ownership:
        """Checks once more, in a store with its tables, and creates the first control record. Opens no gate yet."""
        held = await self.check() or await self._created()
        self._require_usable(held.ownership)
        target = self.settings.target
        if target is None or held.ownership.mirror_to == target:
            return held.ownership
        return (await self.change(lambda now: replace(now, mirror_to=target))).ownership

    async def settle(self) -> None:
        """Opens the gate of an entered source unless something speaks against it, once its target was tried.

        Raises Stranger, and StoreUnavailable.
        """
        if isinstance(self.refusal, Stranger):
            raise self.refusal
        if self.suspicion is not None:
            raise StoreUnavailable(self.suspicion)
        if self.refusal is None or isinstance(self.refusal, OlderSource):
            return
        held = await self.required()
        if not self.is_compared and await self._is_behind_last_seen(held):
            self.refusal = refusals.unproven(self.target_name)
            logger.error("{}", self.refusal.message)
        else:
            self.open_gate(held)

    def require_open(self) -> None:
        """See SourceGuard."""
        if self.refusal is not None:
            raise WritesRefused(str(self.refusal))

    async def enter_again(self) -> None:
        """See SourceGuard. Writes that lost their lanes to one change enter one after the other."""
        async with self._entering:
            ownership = (await self.required()).ownership
            if ownership.role is not Role.OWNER:
                self.refusal = refusals.foreign_source(self.store.name, ownership)
            elif self.compare_again is not None:
                await self.compare_again()
            if self.refusal is None:
                # Read once more, because a comparison may have changed it.
                self.open_gate(await self.required())

    async def leave(self) -> None:
        """See SourceGuard."""
        await leave(self.store, self.me)

    def open_gate(self, held: Held) -> None:
        """Takes writes from now on, each by a lane of this admission, unless the record closes the gate."""
        if held.ownership.gate is not Gate.OPEN:
            self.refusal = refusals.older_source(self.store.name, self.target_name)
            return
        self.refusal = None
        self._has_lanes = True
        self.store.admit(held.admission(self.me))

    async def close_gate(self) -> None:
        """Takes no writes any more, in any process: closes the record first, then lane by lane. Raises OlderSource."""
        refusal = refusals.older_source(self.store.name, self.target_name)
        self.refusal = refusal
        await self.change(lambda now: replace(now, gate=Gate.CLOSED))
        for lane in (await self.store.positions()).lanes.values():
            if lane.is_open:
                await self.store.close_lane(lane.lane)
        self.store.admit(None)
        logger.error("{}", refusal)
        raise refusal

    async def required(self) -> Held:
        """The control record of the entered source. Raises StoreUnavailable where there is none (any more)."""
        held = await control.read(self.store)
        if held is None:
            raise StoreUnavailable(f"The {self.store.name} store has lost its control record.")
        return held

    async def change(self, changed: Callable[[Ownership], Ownership]) -> Held:
        """Changes the control record, by a lane of this process if it has any. Raises StoreUnavailable."""
        for _ in range(RACES_MAX):
            held = await self.required()
            if changed(held.ownership) == held.ownership:
                return held
            if self._has_lanes:
                self.store.admit(held.admission(self.me))
            try:
                written = await control.write(self.store, changed(held.ownership), over=held)
            except (VersionConflict, LaneLost):
                continue
            if self._has_lanes:
                self.store.admit(written.admission(self.me) if self.refusal is None else None)
            return written
        raise StoreUnavailable("Other processes keep changing the control record; try again in a moment.")

    def _require_usable(self, ownership: Ownership) -> None:
        if ownership.role is not Role.OWNER:
            raise refusals.foreign_source(self.store.name, ownership)
        target = self.settings.target
        if target is not None and ownership.mirror_to not in (None, target):
            raise refusals.other_target(self.store.name, ownership.mirror_to)

    async def _created(self) -> Held:
        ownership = Ownership.of_owner(self.store.name)
        try:
            return await control.write(self.store, ownership, over=None)
        except VersionConflict:
            # Another process was first, and its record holds for this one too.
            return await self.required()

    async def _is_behind_last_seen(self, held: Held) -> bool:
        if self.settings.target is None or self.settings.is_alone:
            return False
        installation = held.ownership.installation
        return self.settings.last_seen.is_ahead_of(await self.store.positions(), installation=installation)


async def leave(store: LanedStore, me: ProcessIdentity) -> None:
    """Closes the lanes of a process that ends in order. Does not raise where the store does not answer."""
    try:
        for lane in (await store.positions()).lanes.values():
            if lane.is_open and lane.by.process == me.process:
                await store.close_lane(lane.lane)
    except StoreUnavailable as error:
        logger.debug("The lanes in {} were not closed: {}", store.name, error.message)
