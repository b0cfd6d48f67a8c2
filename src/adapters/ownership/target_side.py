"""One process's use of a target: refuses what does not belong here, and completes an older copy."""

import time
from contextlib import suppress
from dataclasses import replace

from loguru import logger

from adapters.ownership import control, refusals
from adapters.ownership.comparison import (
    BEAT_SECONDS,
    LEASE_SECONDS,
    Comparison,
    behind,
    compare,
    dead_lanes,
    strangers,
)
from adapters.ownership.control import Held, Ownership, Peer, Role
from adapters.ownership.process_identity import is_gone
from adapters.ownership.repair import reopen_lost
from adapters.ownership.source_side import SourceSide, leave
from adapters.records.lanes import LanedStore, Positions
from adapters.records.record_store import SchemaMissing, StoreRefused
from adapters.records.specs import AUDIT_LOGS
from domain.errors import StoreUnavailable, VersionConflict


class TargetSide:
    """The guard of a target, beside the guard of its source."""

    def __init__(self, store: LanedStore, source: SourceSide) -> None:
        self._store = store
        self._source = source
        self._me = source.me
        self._beaten_at = 0.0
        source.compare_again = self._compare_if_reachable

    async def ownership(self) -> Ownership | None:
        """The control record's value, of an opened store; None where it was never filled. Raises StoreUnavailable."""
        held = await self._held()
        return None if held is None else held.ownership

    async def look(self) -> None:
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

    async def admit(self) -> None:
        """See TargetGuard."""
        held = await self._checked() or await self._created()
        await self._require_no_stranger()
        await self._compare()
        self._store.admit(held.admission(self._me))
        await self._store.register()
        # Of two newcomers at the same moment, at least one sees the other here.
        await self._require_no_stranger()
        await self._source.change(
            lambda now: now if now.peer is not None else replace(now, peer=Peer(self._store.name, 1))
        )
        self._source.is_compared = True
        if isinstance(self._source.refusal, refusals.WritesRefused):
            self._source.open_gate(await self._source.required())

    async def compare(self) -> None:
        """See TargetGuard. Also shows that this process is alive, and notes where its lanes stand."""
        await self._checked()
        await self._compare()
        await self._beat()

    async def leave(self) -> None:
        """See TargetGuard."""
        await leave(self._store, self._me)

    async def _compare_if_reachable(self) -> None:
        """A source that lost its lanes may be another copy; without the target nothing tells."""
        if self._source.is_compared:
            with suppress(StoreUnavailable, StoreRefused):
                await self.compare()

    async def _held(self) -> Held | None:
        try:
            return await control.read(self._store)
        except SchemaMissing:
            return None

    async def _checked(self) -> Held | None:
        """The control record of the target; None for an empty store that may become the target.

        Raises StoreRefused for any other store.
        """
        owner = (await self._source.required()).ownership
        name, held = self._store.name, await self._held()
        if held is None:
            if owner.peer is not None:
                raise refusals.emptied(name)
            if await self._holds_entries():
                raise refusals.unnamed(name)
            return None
        if held.ownership.installation != owner.installation:
            raise refusals.other_installation(name, held.ownership, owner)
        if held.ownership.role is not Role.MIRROR:
            raise refusals.not_a_mirror(name, held.ownership)
        return held

    async def _holds_entries(self) -> bool:
        try:
            return bool(await self._store.scan(AUDIT_LOGS.collection, after=None, limit=1))
        except SchemaMissing:
            return False

    async def _created(self) -> Held:
        owner = (await self._source.required()).ownership
        try:
            return await control.write(self._store, owner.of_mirror(self._store.name), over=None)
        except VersionConflict:
            held = await self._checked()
            if held is None:
                raise StoreUnavailable(
                    "The target changes while it is entered; try again in a moment."
                ) from None
            return held

    async def _compare(self) -> None:
        """Finds older copies of either store: closes the gate of an older source, completes an older target."""
        source_positions = await self._source.store.positions()
        target_positions = await self._store.positions()
        found = compare(source_positions, target_positions)
        # The source was read first, and the target may have seen more since.
        if found.source_behind and behind(await self._source.store.positions(), target_positions.seen):
            await self._source.close_gate()
        if found.target_behind:
            await self._complete(found)
        await self._note_last_seen(source_positions)

    async def _complete(self, found: Comparison) -> None:
        """Delivers again what an older target lacks. Evidence about it is void: its incarnation rises."""
        owner = (await self._source.required()).ownership
        has_foreign_entries = owner.epoch > control.FIRST_EPOCH
        reopened = await reopen_lost(
            self._source.store, found.target_behind, has_foreign_entries=has_foreign_entries
        )
        name = self._store.name
        before = owner.peer or Peer(name, 0)
        peer = replace(before, incarnation=before.incarnation + 1)
        await self._source.change(lambda now: replace(now, peer=peer))
        logger.warning(
            "The {} store is an older copy of itself: {} entries that it lacks are delivered again.",
            name,
            reopened,
        )
        held = await self._checked()
        if held is not None:
            # Lanes of this process may stand still there for good.
            self._store.admit(held.admission(self._me))

    async def _require_no_stranger(self) -> None:
        source, target = await self._source.store.positions(), await self._store.positions()
        for lane in dead_lanes(target, is_gone=is_gone):
            await self._store.close_lane(lane.lane)
        watched = time.monotonic() - self._source.started
        found = strangers(source, target, me=self._me, watched_seconds=watched, is_gone=is_gone)
        self._source.suspicion = None
        if not found:
            return
        refusal = refusals.stranger(found)
        if watched < LEASE_SECONDS:
            self._source.suspicion = f"{refusal.cause} This one waits {LEASE_SECONDS:.0f} s for it to end."
            raise StoreUnavailable(self._source.suspicion)
        self._source.refusal = refusal
        self._source.store.admit(None)
        raise refusal

    async def _beat(self) -> None:
        """In the source first: who is alive at the target alone counts as a stranger."""
        now = time.monotonic()
        if now - self._beaten_at >= BEAT_SECONDS:
            self._beaten_at = now
            await self._source.store.beat()
            await self._store.beat()

    async def _note_last_seen(self, positions: Positions) -> None:
        mine = {
            lane.lane: lane.number for lane in positions.lanes.values() if lane.by.process == self._me.process
        }
        if mine and self._source.refusal is None:
            installation = (await self._source.required()).ownership.installation
            try:
                self._source.settings.last_seen.note(mine, installation=installation)
            except OSError as error:
                logger.warning("The file {} was not written: {}", self._source.settings.last_seen.path, error)
