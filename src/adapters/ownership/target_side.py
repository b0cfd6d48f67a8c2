"""One process's use of a target: refuses what does not belong here, and completes an older copy."""

import asyncio
from dataclasses import replace

from adapters.ownership import control, refusals
from adapters.ownership.checkpoints import CHECKPOINT_SECONDS_MIN, Compared, checkpoint_closed, compared
from adapters.ownership.comparison import (
    LEASE_SECONDS,
    Watch,
    absent_in_source,
    dead_lanes,
    strangers,
)
from adapters.ownership.completion import Completion
from adapters.ownership.control import FIRST_INCARNATION, Gate, Held, Ownership, Peer, Role
from adapters.ownership.fencing import fence
from adapters.ownership.left_over import require_nothing_of_its_own
from adapters.ownership.long_task import LongTask
from adapters.ownership.process_identity import is_gone
from adapters.ownership.source_side import SourceSide, leave
from adapters.records.compared import of_source
from adapters.records.lanes import Lane, LanedStore, LaneLost
from adapters.records.record_store import SchemaMissing, StoreRefused
from adapters.records.specs import AUDIT_LOGS
from domain.errors import StoreUnavailable, VersionConflict

SILENT_CLOSED_MAX = 100
"""How many lanes of ended processes an admission closes."""


class TargetSide:
    """The guard of a target, beside the guard of its source."""

    def __init__(self, store: LanedStore, source: SourceSide) -> None:
        self._store = store
        self._source = source
        self._me = source.me
        self._monotonic = source.settings.monotonic
        self._watched_since: float | None = None
        self._completion: Completion | None = None
        self._search: LongTask | None = None
        self._next_checkpoint = 0.0
        source.compare_again = self._compare_if_reachable

    async def ownership(self) -> Ownership | None:
        """The control record's value, of an opened store; None where it was never filled. Raises StoreUnavailable."""
        held = await self._held()
        return None if held is None else held.ownership

    async def look(self) -> None:
        """See TargetGuard."""
        await self._checked()

    async def require_alone(self) -> None:
        """See TargetGuard."""
        if await self._checked() is not None:
            await self._require_no_stranger()

    async def look_beside_new_source(self) -> None:
        """`look` before the source has a control record. Raises StoreRefused for a target that is filled."""
        held = await self._held()
        if held is not None:
            raise refusals.emptied_source(self._source.store.name, held.ownership)
        if await self._holds_entries():
            raise refusals.unnamed(self._store.name)

    async def inspect(self) -> None:
        """Checks whose store the target is and compares it with the source, for whoever only asks: writes nothing,
        completes nothing and waits for no other process.

        Raises OlderSource, StoreRefused for a target that must not be used as it is, and StoreUnavailable.
        """
        if await self._checked() is not None and await self._target_behind():
            raise refusals.older_target(self._store.name)

    async def require_newest_source(self) -> None:
        """`inspect` before a migration, which also an older target may take part in: a start completes it."""
        if await self._checked() is not None:
            await self._target_behind()

    async def _target_behind(self) -> bool:
        """Whether the target is an older copy. Writes nothing. Raises OlderSource."""
        source = self._source.store
        found = (await compared(source, self._store)).found
        if found.source_behind:
            raise refusals.older_source(source.name, self._store.name)
        return bool(found.target_behind)

    async def admit(self) -> None:
        """See TargetGuard."""
        try:
            await self._admit()
        except _Suspected:
            raise
        except (StoreUnavailable, asyncio.CancelledError):
            # A call that is given up because it takes too long is cancelled.
            self.lose_sight()
            raise

    def lose_sight(self) -> None:
        """See TargetGuard."""
        self._watched_since = None

    async def compare(self) -> None:
        """See TargetGuard."""
        await self._checked()
        found = await self._compare()
        if not found.target.has_open_lane_of(self._me):
            # Closed by a newcomer while this process was silent, or missing in an older copy.
            raise LaneLost
        with of_source():
            if self._source.refusal is None and not found.source.has_open_lane_of(self._me):
                await self._source.appear(is_lost=True)
            await self._source.reopen()

    async def beat(self) -> None:
        """See TargetGuard."""
        await self._store.register()
        await self._store.beat()

    async def leave(self) -> None:
        """See TargetGuard."""
        for task in (self._completion, self._search):
            if task is not None:
                await task.cancel()
        await leave(self._store, self._me)

    async def _admit(self) -> None:
        held = await self._checked() or await self._created()
        held = await self._disarmed(held)
        silent = await self._require_no_stranger()
        found = await self._compare()
        for lane in silent[:SILENT_CLOSED_MAX]:
            # Should its process sleep, it has to enter again, and finds this one.
            await self._store.close_lane(lane.lane)
        await self._source.change(
            lambda now: (
                now if now.peer is not None else replace(now, peer=Peer(self._store.name, FIRST_INCARNATION))
            )
        )
        await self._source.appear(is_lost=not found.source.has_open_lane_of(self._me))
        self._store.admit(held.admission(self._me))
        await self._store.register()
        try:
            # Of two newcomers at the same moment, at least one sees the other here.
            await self._require_no_stranger()
        except (StoreUnavailable, StoreRefused):
            await leave(self._store, self._me)
            raise
        await self._source.reopen()

    async def _compare_if_reachable(self) -> bool:
        """A source that lost its lanes may be another copy; without the target nothing shows that."""
        if not self._source.is_compared:
            return False
        try:
            await self.compare()
        except StoreUnavailable:
            return False
        except StoreRefused as refused:
            # The source's own refusal stands already; that of the target says nothing about the source.
            return refused is self._source.refusal
        return True

    async def _owner(self) -> Ownership:
        """What the source says of itself. Raises SourceFailed where it does not answer."""
        with of_source():
            return (await self._source.required()).ownership

    async def _held(self) -> Held | None:
        try:
            return await control.read(self._store)
        except SchemaMissing:
            return None

    async def _checked(self) -> Held | None:
        """The control record of the target; None for an empty store that may become the target.

        Raises StoreRefused for any other store.
        """
        owner = await self._owner()
        name, held = self._store.name, await self._held()
        if held is None:
            if owner.peer is not None:
                raise refusals.emptied(name)
            if await self._holds_entries():
                raise refusals.unnamed(name)
            return None
        if held.ownership.installation != owner.installation:
            raise refusals.other_installation(name, held.ownership, owner)
        if held.ownership.role is Role.MIRROR or held.ownership.is_left_over_of(owner):
            return held
        await self._require_not_stale(held.ownership)
        raise refusals.not_a_mirror(name, held.ownership)

    async def _require_not_stale(self, found: Ownership) -> None:
        """Refuses a source that was copied before the writes moved to the target, or that was given up since.

        Its record is read once more: a move under way opens the target only after the source has given the writes away.
        """
        owner = await self._owner()
        is_later = found.epoch > owner.epoch or found.since > owner.since
        if owner.role is Role.OWNER and is_later and found.gate is Gate.OPEN:
            stale = refusals.stale_owner(owner, found)
            self._source.refuse(stale)
            raise stale

    async def _disarmed(self, held: Held) -> Held:
        """The record of a mirror: a successor whose move was undone becomes one again, and so does an older copy of a
        former owner. Raises StoreRefused for one that holds writes which the owner lacks.
        """
        owner = await self._owner()
        if not held.ownership.is_left_over_of(owner):
            return held
        try:
            if held.ownership.gate is not Gate.ARMED:
                held = await self._without_writes(held)
            self._store.admit(held.admission(self._me))
            return await control.disarm(self._store, held, owner)
        except VersionConflict:
            raise StoreUnavailable("The target changes while it is entered; try again in a moment.") from None
        finally:
            self._store.admit(None)

    async def _without_writes(self, held: Held) -> Held:
        """The record of an older copy of a former owner that takes no writes any more. Raises OlderSource, and
        StoreRefused for a copy that has taken any since it was copied; any other one is closed.
        """
        if (await compared(self._source, self._store)).found.source_behind:
            await self._source.close_gate()
        await self._require_nothing_of_its_own()
        lanes = (await self._store.positions()).lanes.values()
        if held.ownership.gate is Gate.OPEN or any(lane.is_open for lane in lanes):
            held = await fence(self._store, held, replace(held.ownership, gate=Gate.CLOSED), self._me)
            await self._require_nothing_of_its_own()
        return held

    async def _require_nothing_of_its_own(self) -> None:
        owner = self._source.store
        if self._search is None:
            search = require_nothing_of_its_own(self._store, owner)
            self._search = LongTask(search, name="comparing an older copy")
        if not await self._search.is_done():
            raise StoreUnavailable(
                f"This {self._store.name} store is an older copy of a former owner, and its changes are compared with"
                f" those of {owner.name} first."
            )
        ended, self._search = self._search, None
        ended.require_success()

    async def _holds_entries(self) -> bool:
        try:
            return bool(await self._store.scan(AUDIT_LOGS.collection, after=None, limit=1))
        except SchemaMissing:
            return False

    async def _created(self) -> Held:
        owner = await self._owner()
        try:
            return await control.write(self._store, owner.of_mirror(self._store.name), over=None)
        except VersionConflict:
            held = await self._checked()
            if held is None:
                raise StoreUnavailable(
                    "The target changes while it is entered; try again in a moment."
                ) from None
            return held

    async def _compare(self) -> Compared:
        """Finds older copies of either store: closes the gate of an older source, completes an older target.

        Raises OlderSource, and StoreUnavailable while the target is completed.
        """
        if self._completion is not None:
            await self._completed(self._completion)
        result = await compared(self._source, self._store)
        if result.found.source_behind:
            await self._source.close_gate()
        if result.found.target_behind:
            self._completion = Completion(self._source, self._store.name, result.found.target_behind)
            await self._completed(self._completion)
        now = self._monotonic()
        if now >= self._next_checkpoint and await checkpoint_closed(self._source.store, self._store, result):
            self._next_checkpoint = now + CHECKPOINT_SECONDS_MIN
        self._source.note_positions(result.source)
        return result

    async def _completed(self, completion: Completion) -> None:
        """Waits a little, because a call to compare has a time limit and the completion has none."""
        if not await completion.is_done():
            raise StoreUnavailable(completion.progress)
        if completion is self._completion:
            self._completion = None
        completion.require_success()
        held = await self._checked()
        if held is not None:
            # Lanes of this process may stand still there for good.
            self._store.admit(held.admission(self._me))

    async def _require_no_stranger(self) -> list[Lane]:
        """Returns the open lanes of processes that count as ended because they are silent.

        Raises Stranger, and StoreUnavailable as long as it is too early to tell.
        """
        with of_source():
            source = await self._source.positions()
        target = await self._store.positions()
        for lane in dead_lanes(target, is_gone=is_gone):
            await self._store.close_lane(lane.lane)
        now = self._monotonic()
        self._watched_since = now if self._watched_since is None else self._watched_since
        watch = Watch(self._source.sight.seconds, now - self._watched_since)
        found = strangers(source, target, me=self._me, watch=watch, is_gone=is_gone)
        self._source.suspicion = None
        if not found:
            return [
                lane
                for lane in absent_in_source(source, target, me=self._me, watch=watch)
                if not is_gone(lane.by)
            ]
        refusal = refusals.stranger(found)
        await self._source.try_beat()
        if min(self._source.sight.seconds, watch.target_seconds) < LEASE_SECONDS:
            self._source.suspicion = f"{refusal.cause} This one waits {LEASE_SECONDS:.0f} s for it to end."
            raise _Suspected(self._source.suspicion)
        self._source.refuse(refusal)
        raise refusal


class _Suspected(StoreUnavailable):
    """Another copy may be running."""
