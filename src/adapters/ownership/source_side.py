"""One process's use of a source: enters it, opens its gate, and closes it for everybody where it is an older copy."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from loguru import logger

from adapters.ownership import control, refusals
from adapters.ownership.control import Gate, Held, Ownership, Role
from adapters.ownership.evidence import Evidence
from adapters.ownership.fencing import close_lanes
from adapters.ownership.kept_record import KeptRecord
from adapters.ownership.last_seen import LastSeen
from adapters.ownership.process_identity import this_process
from adapters.ownership.refusals import (
    DamagedFile,
    Moving,
    OlderSource,
    StaleOwner,
    Stranger,
    WritesRefused,
)
from adapters.ownership.sight import Sight
from adapters.ownership.writes_under_way import WritesUnderWay
from adapters.records.change_set import LaneStamp
from adapters.records.lanes import LanedStore, LaneLost, Positions, ProcessIdentity
from adapters.records.record_store import SchemaMissing, StoreRefused
from domain.errors import StoreUnavailable, VersionConflict
from domain.migration import Phase

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
    monotonic: Callable[[], float] = time.monotonic


class SourceSide:
    """The guard of a source. It takes writes from `begin_writes` on, unless `refusal` says why not."""

    def __init__(self, store: LanedStore, settings: SourceSettings) -> None:
        self.store = store
        self.settings = settings
        self.me = settings.process
        self.sight = Sight(settings.monotonic)
        """Since when the source answers to this process without a gap."""
        self.is_compared = False
        """Whether the source was compared with its target in this process."""
        self.compare_again: Callable[[], Awaitable[bool]] | None = None
        """Compares with the target and returns true, or false if that is not possible now."""
        self.refusal: StoreRefused | WritesRefused | None = refusals.not_entered()
        """Why the source takes no writes; None while its gate is open."""
        self.record = KeptRecord(store, self.sight, settings.monotonic)
        self.suspicion: str | None = None
        """Another process that feeds the target and may have ended: found by the newest attempt to reach the target."""
        self._suspected: str | None = None
        self._entering = asyncio.Lock()
        self._entries = 0
        self.writes = WritesUnderWay()
        self._admitted: Held | None = None
        self._has_lanes = False
        self._evidence = Evidence(store, settings.last_seen, has_target=settings.target is not None)

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
        await asyncio.to_thread(self.settings.last_seen.require_unknown, self.store.name)
        return None

    async def inspect(self, look_at_target: Callable[[], Awaitable[Ownership | None]] | None) -> Held | None:
        """`check` for whoever only asks, and whether the source would take writes. Writes nothing.

        Without `look_at_target` the target cannot be compared, and the file shows whether the source is older. Raises
        as `check` does, OlderSource, DamagedFile and WritesRefused.
        """
        held = await self.check(look_at_target)
        if held is None:
            return None
        if held.ownership.gate is not Gate.OPEN:
            raise refusals.closed(held.ownership, target=self.target_name)
        is_unproven = look_at_target is None and self.settings.target is not None
        if is_unproven and await self._evidence.is_beyond_in_file(held.ownership.installation):
            raise refusals.unproven(self.target_name)
        return held

    async def enter(self) -> Ownership:
        """Checks once more, in a store with its tables, and creates the first control record. Opens no gate yet."""
        held = await self.check() or await self._created()
        self._require_usable(held.ownership)
        self.record.enter(held.ownership.installation)
        # From now on an emptied store is not taken for a new one.
        await self._keep_evidence()
        target = self.settings.target
        if target is None or held.ownership.mirror_to == target:
            return held.ownership
        return (await self.change(lambda now: _mirrored(now, target))).ownership

    async def begin_writes(self) -> None:
        """Opens the gate of an entered source unless something speaks against it, once its target was tried.

        Raises Stranger, DamagedFile, and StoreUnavailable.
        """
        if isinstance(self.refusal, Stranger | StaleOwner):
            raise self.refusal
        if self.suspicion is not None:
            self._suspected, self.suspicion = self.suspicion, None
            raise StoreUnavailable(self._suspected)
        if self.refusal is None or isinstance(self.refusal, OlderSource):
            return
        if self.is_compared or self.settings.is_alone or self.settings.target is None:
            await self.open_gate(await self.required())
        elif self._suspected is not None:
            self.refuse(refusals.suspected(self.target_name, self._suspected))
        elif await self._evidence.is_beyond_in_file((await self.required()).ownership.installation):
            self.refuse(refusals.unproven(self.target_name))
        else:
            await self.open_gate(await self.required())

    def require_open(self) -> None:
        """See SourceGuard."""
        if self.refusal is not None:
            kind = Moving if isinstance(self.refusal, Moving) else WritesRefused
            raise kind(str(self.refusal))

    def note_positions(self, positions: Positions) -> None:
        """Remembers what all processes have written, once a comparison found nothing wrong."""
        self._evidence.note_positions(positions)

    def note_commit(self, stamp: LaneStamp) -> None:
        """See SourceGuard."""
        self._evidence.note_commit(stamp)

    async def enter_again(self) -> None:
        """See SourceGuard. Writes that lost their lanes to one change enter together."""
        entries = self._entries
        async with self._entering:
            if entries != self._entries:
                return
            self._admitted = None
            ownership = (await self.required()).ownership
            if ownership.role is not Role.OWNER:
                self.refuse(refusals.moved(self.store.name, ownership))
            elif self.compare_again is not None and not await self.compare_again():
                await self._require_what_was_seen(ownership.installation)
            if self.refusal is None:
                # Read once more, because a comparison may have changed it.
                await self.open_gate(await self.required())
            self._entries += 1

    async def leave(self) -> None:
        """See SourceGuard."""
        await self._keep_evidence()
        await leave(self.store, self.me)

    async def beat(self) -> None:
        """Shows that this process is alive, and keeps how far it has written, which needs no target.

        Raises StoreUnavailable.
        """
        if self.refusal is None:
            try:
                with self.sight.of_call():
                    await self.store.register()
            except LaneLost:
                await self.enter_again()
        with self.sight.of_call():
            await self.store.beat()
        await self._keep_evidence()

    async def appear(self, *, is_lost: bool = False) -> None:
        """Registers a lane, so that others see this process here before they see it in the target: one that is seen
        there alone counts as another copy. Takes no writes yet. Raises StoreUnavailable.

        `is_lost`: the lanes that this process believes to hold were closed.
        """
        if is_lost or self._admitted is None:
            held = await self.required()
            if held.ownership.gate is not Gate.OPEN:
                return
            self.admit(held)
        try:
            with self.sight.of_call():
                await self.store.register()
        except LaneLost:
            self._admitted = None
            raise

    async def try_beat(self) -> None:
        """Shows this process in the source, and loses sight of it where that fails: a source that takes no writes
        silences everybody in it, although it may answer whoever reads.
        """
        if isinstance(self.refusal, Stranger | StaleOwner):
            return
        try:
            await self.appear()
            with self.sight.of_call():
                await self.store.beat()
        except StoreUnavailable as error:
            self.sight.lose()
            logger.debug("This process could not show that it is alive: {}", error.message)

    async def reopen(self) -> None:
        """Takes writes, once a comparison has found nothing against it, whatever spoke against it before.

        Raises StoreUnavailable.
        """
        self.is_compared = True
        if self.refusal is None:
            return
        held = await self.required()
        if held.ownership.role is Role.OWNER:
            await self.open_gate(held)

    async def open_gate(self, held: Held) -> None:
        """Takes writes from now on, each by a lane of this admission, unless the record closes the gate.

        The source is as new as can be known: what was seen of it beyond that is forgotten. Raises StoreUnavailable.
        """
        if held.ownership.gate is not Gate.OPEN:
            self.refusal = refusals.closed(held.ownership, target=self.target_name)
            return
        if await self._evidence.forget_beyond(held.ownership.installation):
            logger.error(
                "The {} store is older than it was: the writes in between are lost.", self.store.name
            )
        if self._admitted is None or self._admitted.token != held.token:
            self.admit(held)
        self.refusal = None

    def refuse(self, refusal: StoreRefused | WritesRefused) -> None:
        """Takes no writes any more in this process."""
        self.refusal = refusal
        self.admit(None)
        logger.log("INFO" if isinstance(refusal, Moving) else "ERROR", "{}", refusal)

    async def close_gate(self) -> None:
        """Takes no writes any more, in any process: closes the record first, then lane by lane. Raises OlderSource."""
        refusal = refusals.older_source(self.store.name, self.target_name)
        is_news = not isinstance(self.refusal, OlderSource)
        self.refusal = refusal
        # The epoch rises once, so that lanes of a recovery under way, opened after that, stay open.
        held = await self.change(_closed)
        await self.close_lanes(below=held.ownership.epoch)
        self.admit(None)
        if is_news:
            logger.error("{}", refusal)
        raise refusal

    async def take_over(self) -> None:
        """Takes writes as the successor of the former owner, which was compared with this store just now.

        Raises StoreUnavailable.
        """
        held = await self.required()
        self.record.installation = held.ownership.installation
        self.admit(held)
        self.is_compared = True
        await self.change(lambda now: replace(now, gate=Gate.OPEN) if now.gate is Gate.ARMED else now)
        await self.open_gate(await self.required())

    async def close(self, closed: Callable[[Ownership], Ownership]) -> None:
        """Closes the gate by this change of the control record, and then the lanes of every process, one by one."""
        await self.change(closed)
        await self.close_lanes()
        self.admit(None)

    async def close_lanes(self, *, below: int | None = None) -> None:
        """Closes all lanes, or those of epochs below this one."""
        await close_lanes(self.store, where=lambda lane: below is None or lane.epoch < below)

    async def positions(self, *, with_checkpointed: bool = False) -> Positions:
        """See LanedStore."""
        with self.sight.of_call():
            return await self.store.positions(with_checkpointed=with_checkpointed)

    async def required(self) -> Held:
        """The control record of the entered source. Raises StoreLost and StoreUnavailable."""
        return await self.record.required()

    async def change(self, changed: Callable[[Ownership], Ownership]) -> Held:
        """Changes the control record, by a lane of this process if it has any. Raises StoreUnavailable."""
        for _ in range(RACES_MAX):
            held = await self.required()
            if changed(held.ownership) == held.ownership:
                return held
            is_admitted = self._admitted is not None
            if self._has_lanes:
                if held.ownership.gate is not Gate.OPEN:
                    # The lane by which a closed record is changed must not serve a write.
                    self.refusal = self.refusal or refusals.closed(held.ownership, target=self.target_name)
                    await self.writes.ended()
                self.admit(held)
            try:
                written = await control.write(self.store, changed(held.ownership), over=held)
            except (VersionConflict, LaneLost):
                continue
            if is_admitted and written.ownership.gate is Gate.OPEN:
                self.admit(written)
            elif self._has_lanes:
                self.admit(None)
            return written
        raise StoreUnavailable("Other processes keep changing the control record; try again in a moment.")

    def _require_usable(self, ownership: Ownership) -> None:
        if ownership.role is not Role.OWNER:
            raise refusals.foreign_source(self.store.name, ownership)
        target = self.settings.target
        if target is not None and ownership.mirror_to not in (None, target):
            raise refusals.other_target(self.store.name, ownership.mirror_to)

    def admit(self, held: Held | None) -> None:
        """Writes by lanes of this admission from now on; without one, no write is possible."""
        self._admitted, self._has_lanes = held, True
        self.store.admit(None if held is None else held.admission(self.me))

    async def _keep_evidence(self) -> None:
        if self.record.installation is not None:
            await self._evidence.keep(self.record.installation)

    async def _created(self) -> Held:
        ownership = Ownership.of_owner(self.store.name)
        try:
            return await control.write(self.store, ownership, over=None)
        except VersionConflict:
            # Another process was first, and its record holds for this one too.
            return await self.required()

    async def _require_what_was_seen(self, installation: str) -> None:
        """Without the target, memory and the file show whether the source has become an older copy."""
        if self.settings.target is None:
            return
        try:
            is_older = await self._evidence.is_beyond_in_memory()
            if not is_older and not self.settings.is_alone:
                is_older = await self._evidence.is_beyond_in_file(installation)
        except DamagedFile:
            is_older = True
        if is_older:
            self.refuse(refusals.unproven(self.target_name))


def _mirrored(now: Ownership, target: str) -> Ownership:
    phase = Phase.MIRRORING if now.phase is Phase.SINGLE else now.phase
    return replace(now, mirror_to=target, phase=phase)


def _closed(now: Ownership) -> Ownership:
    return now if now.gate is Gate.CLOSED else replace(now, gate=Gate.CLOSED, epoch=now.epoch + 1)


async def leave(store: LanedStore, me: ProcessIdentity) -> None:
    """Closes the lanes of a process that ends in order. Does not raise where the store does not answer."""
    try:
        await close_lanes(store, where=lambda lane: lane.by.process == me.process)
    except StoreUnavailable as error:
        logger.debug("The lanes in {} were not closed: {}", store.name, error.message)
