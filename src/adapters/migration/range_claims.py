"""Which process loads which range of a backfill, so that every process of an installation can take part.

A claim is kept in the checkpoint of its range. Each page replaces the checkpoint only over the version that its loader
has stored last. So a process that sleeps, and wakes up after another one has taken its range, stores nothing more
there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.migration.backfill_run import IsGone, is_alive
from adapters.migration.checkpoints import Claim, RangeCheckpoint
from adapters.records.lanes import LanedStore


@dataclass(frozen=True, slots=True)
class RangeClaims:
    """The claim of this process, `mine`, and what the source shows of the others."""

    source: LanedStore
    mine: Claim
    is_gone: IsGone

    async def free(self, ranges: Sequence[RangeCheckpoint]) -> Sequence[RangeCheckpoint]:
        """Those that no other process loads. Raises StoreUnavailable.

        A claim is void in another run of the backfill, and once its process has ended.
        """
        if not any(self._is_claimed(one) for one in ranges):
            return ranges
        positions = await self.source.positions()
        return [
            one
            for one in ranges
            if not self._is_claimed(one)
            or (one.claim is not None and not is_alive(one.claim.by, positions, is_gone=self.is_gone))
        ]

    def _is_claimed(self, one: RangeCheckpoint) -> bool:
        return one.claim is not None and one.claim.run == self.mine.run and one.claim != self.mine
