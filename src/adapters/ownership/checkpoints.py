"""Compares two stores without reading every lane there ever was: closed lanes are checkpointed, and then left out.

A checkpointed lane is read only if the other lanes do not agree. The checkpoint takes its place: a new closed lane that
the store adds in the transaction that marks the others, and that its peer notes as seen. A copy of the store in which a
checkpointed lane has a lower number is older than the checkpoint. So it lacks the checkpoint, and is below what
was seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from adapters.ownership.comparison import Comparison, behind, compare
from adapters.records.compared import of_source
from adapters.records.lane_slots import new_lane
from adapters.records.lanes import Lane, LanedStore, Positions

CHECKPOINT_AT = 100
"""The number of closed lanes from which on a comparison adds a checkpoint."""
CHECKPOINT_LANES_MAX = 1_000
"""The most lanes of one checkpoint, which is one transaction."""
CHECKPOINT_SECONDS_MIN = 60.0
"""How long a process waits between checkpoints. Each adds a row that stays, and entries of a backlog that arrive late
would need one in every comparison.
"""


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison and the positions that it used."""

    found: Comparison
    source: Positions
    target: Positions
    with_checkpointed: bool
    """Whether it needed all lanes, because those in use did not agree."""

    @property
    def is_clean(self) -> bool:
        """Whether neither store stands below what the other one has seen of it."""
        return not self.found.target_behind and not self.found.source_behind


class Positioned(Protocol):
    """A store, or its guard, whose positions can be read."""

    async def positions(self, *, with_checkpointed: bool) -> Positions:
        """See LanedStore."""
        ...


async def compared(source: Positioned, target: Positioned) -> Compared:
    """Compares two stores, and writes nothing. Raises StoreUnavailable."""
    routine = await _compared(source, target, with_checkpointed=False)
    return routine if routine.is_clean else await _compared(source, target, with_checkpointed=True)


async def checkpoint_closed(source: LanedStore, target: LanedStore, compared: Compared) -> bool:
    """Adds checkpoints after a comparison if many lanes are closed, or if the next one would need all lanes again.

    Returns whether it added any. Raises StoreUnavailable.
    """
    if not compared.is_clean:
        return False
    least = 1 if compared.with_checkpointed else CHECKPOINT_AT
    added = await _checkpoint(source, target, _closed(compared.source, compared.target), least=least)
    return await _checkpoint(target, source, _closed(compared.target, compared.source), least=least) or added


async def _compared(source: Positioned, target: Positioned, *, with_checkpointed: bool) -> Compared:
    with of_source():
        source_positions = await source.positions(with_checkpointed=with_checkpointed)
    target_positions = await target.positions(with_checkpointed=with_checkpointed)
    found = compare(source_positions, target_positions)
    if found.source_behind:
        # The source was read first, and the target may have seen more since.
        with of_source():
            again = await source.positions(with_checkpointed=with_checkpointed)
        found = Comparison(found.target_behind, behind(again, target_positions.seen))
    return Compared(found, source_positions, target_positions, with_checkpointed)


def _closed(owner: Positions, peer: Positions) -> list[Lane]:
    """The closed lanes of a store that are not checkpointed in both stores."""
    closed = []
    for lane in owner.lanes.values():
        seen = peer.seen.get(lane.lane)
        is_checkpointed = lane.is_checkpointed and (seen is None or seen.is_checkpointed)
        if not lane.is_open and not is_checkpointed:
            closed.append(lane)
    return closed


async def _checkpoint(owner: LanedStore, peer: LanedStore, closed: Sequence[Lane], *, least: int) -> bool:
    """The owner first: its peer must not rely on a checkpoint that is not stored."""
    if len(closed) < least:
        return False
    for first in range(0, len(closed), CHECKPOINT_LANES_MAX):
        group = closed[first : first + CHECKPOINT_LANES_MAX]
        numbers, checkpoint = {lane.lane: lane.number for lane in group}, new_lane()
        if await owner.add_checkpoint(numbers, checkpoint=checkpoint):
            await peer.see_checkpoint(numbers, checkpoint=checkpoint)
    return bool(closed)
