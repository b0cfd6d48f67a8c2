"""Brings a source that is an older copy of itself up to what its target holds, without losing a write of either.

Nobody else writes either store meanwhile: the gate of the source is closed, and the epoch of both stores has risen, so
that nothing which was sent before arrives later. What the target has seen of the source is lowered once the source
holds everything: until then every comparison finds it older. The gate opens last, so a recovery that ended anywhere can
be run again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from loguru import logger

from adapters.migration.ownership_change import control_of
from adapters.migration.taking import Taken, Taking
from adapters.ownership import refusals
from adapters.ownership.checkpoints import compared
from adapters.ownership.control import Gate, Ownership, Role
from adapters.ownership.fencing import fence
from adapters.ownership.repair import reopen_lost
from adapters.ownership.source_recovery import begin_recovery, change_in_recovery, end_recovery
from adapters.ownership.source_side import SourceSide
from adapters.records.lane_slots import new_lane
from adapters.records.lanes import LanedStore
from domain.errors import Conflict


async def require_recovery_of(source: SourceSide, target: LanedStore) -> None:
    """Raises Conflict for a source that is not an older copy, and for a target that cannot be its mirror; and
    StoreUnavailable. Writes nothing.
    """
    owner = (await source.required()).ownership
    if owner.role is not Role.OWNER or owner.move is not None:
        raise refusals.other_move(owner.move)
    found = (await control_of(target)).ownership
    if found.installation != owner.installation or found.role is not Role.MIRROR:
        raise Conflict(
            f"The {found.store} store is {found.role} of installation {found.installation}, so nothing can be"
            f" brought back from it to {owner.store} of installation {owner.installation}. See: tandem doctor"
        )
    if owner.gate is Gate.OPEN and not (await compared(source, target)).found.source_behind:
        raise Conflict(
            f"The {owner.store} store is not an older copy of itself: it lacks nothing that {found.store} has seen,"
            " so there is nothing to recover."
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """Recovers `source` from `target`. Nothing in this process delivers meanwhile, except `deliver`.

    `deliver` brings the source's own changes to the target. `verify` compares both stores in full, before the source
    takes writes. If it raises, the source stays closed.
    """

    source: SourceSide
    target: LanedStore
    deliver: Callable[[], Awaitable[None]]
    verify: Callable[[], Awaitable[None]]

    async def require_needed(self) -> None:
        """See `require_recovery_of`."""
        await require_recovery_of(self.source, self.target)

    async def run(self) -> Taken:
        """Returns what came back. Raises Conflict, and StoreUnavailable; then the source stays closed, and the recovery
        can be run again.
        """
        await self.require_needed()
        owner = (await self.source.required()).ownership
        mirrored = (await control_of(self.target)).ownership
        epoch = max(owner.epoch, mirrored.epoch) + 1
        await begin_recovery(self.source, epoch)
        await self._fence_target(epoch)
        result = await Taking(self.source.store, self.target).run()
        await self._complete_target()
        await self._agree()
        await self.deliver()
        await self.verify()
        await end_recovery(self.source)
        logger.warning(
            "The {} store was recovered: {} changes came back from {}, {} own ones got new versions.",
            self.source.store.name,
            result.changes,
            self.target.name,
            result.rebased,
        )
        return result

    async def _fence_target(self, epoch: int) -> None:
        """From here on nothing arrives that was sent before."""
        held = await control_of(self.target)
        fenced = replace(held.ownership, epoch=epoch, owner=self.source.store.name, gate=Gate.CLOSED)
        await fence(self.target, held, fenced, self.source.me)

    async def _complete_target(self) -> None:
        """Delivers again what the target has lost, if it is an older copy of itself as well."""
        source = self.source.store
        cuts = (await compared(source, self.target)).found.target_behind
        if not cuts:
            return
        await reopen_lost(source, cuts, has_foreign_entries=True, on_reopened=lambda _: None)
        await change_in_recovery(self.source, Ownership.with_next_incarnation)
        await source.lower(cuts)

    async def _agree(self) -> None:
        """Lets the target forget what the source has lost. The checkpoint makes sure that a copy of the source from
        before this recovery is found to be older.
        """
        source, checkpoint = self.source.store, new_lane()
        await source.add_checkpoint({}, checkpoint=checkpoint)
        await self.target.see_checkpoint({}, checkpoint=checkpoint)
        behind = (await compared(source, self.target)).found.source_behind
        await self.target.cut(behind)
        # A cut brings back what was left out of comparisons.
        behind = (await compared(source, self.target)).found.source_behind
        await self.target.cut(behind)
        await self.target.lower(behind)
