"""Compares two stores by the lanes in use, and settles closed ones, so that a comparison does not read every lane ever.

A settled lane is read only where the lanes in use do not agree. What takes its place is the settlement: a closed lane
that the store which owns the lanes writes with settling them, and that its peer sees. A copy of the store in which one
of the settled lanes stands lower is older than the settlement, so it lacks that lane: it stands below what was seen.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from adapters.ownership.comparison import Comparison, behind, compare
from adapters.records.lane_slots import new_lane
from adapters.records.lanes import Lane, LanedStore, Positions

SETTLED_AT = 100
"""So many closed lanes are settled together."""
SETTLED_TOGETHER_MAX = 1_000
"""The most lanes in one transaction."""


@dataclass(frozen=True, slots=True)
class Compared:
    """A comparison and the positions that it used."""

    found: Comparison
    source: Positions
    target: Positions
    with_settled: bool
    """Whether it needed all lanes, because those in use did not agree."""

    @property
    def is_clean(self) -> bool:
        """Whether neither store stands below what the other one has seen of it."""
        return not self.found.target_behind and not self.found.source_behind


async def compared(source: LanedStore, target: LanedStore) -> Compared:
    """Compares two stores, and writes nothing. Raises StoreUnavailable."""
    by_use = await _compared(source, target, with_settled=False)
    return by_use if by_use.is_clean else await _compared(source, target, with_settled=True)


async def settle_closed(source: LanedStore, target: LanedStore, compared: Compared) -> None:
    """Settles closed lanes after a comparison, where they are many or the next one would need all lanes again.

    Raises StoreUnavailable.
    """
    if compared.is_clean:
        least = 1 if compared.with_settled else SETTLED_AT
        await _settle(source, target, _closed(compared.source, compared.target), least=least)
        await _settle(target, source, _closed(compared.target, compared.source), least=least)


async def _compared(source: LanedStore, target: LanedStore, *, with_settled: bool) -> Compared:
    source_positions = await source.positions(with_settled=with_settled)
    target_positions = await target.positions(with_settled=with_settled)
    found = compare(source_positions, target_positions)
    if found.source_behind:
        # The source was read first, and the target may have seen more since.
        again = await source.positions(with_settled=with_settled)
        found = Comparison(found.target_behind, behind(again, target_positions.seen))
    return Compared(found, source_positions, target_positions, with_settled)


def _closed(owner: Positions, peer: Positions) -> list[Lane]:
    """The closed lanes of a store that are not settled in both stores."""
    closed = []
    for lane in owner.lanes.values():
        seen = peer.seen.get(lane.lane)
        is_settled = lane.is_settled and (seen is None or seen.is_settled)
        if not lane.is_open and not is_settled:
            closed.append(lane)
    return closed


async def _settle(owner: LanedStore, peer: LanedStore, closed: Sequence[Lane], *, least: int) -> None:
    """The owner first: its peer must not rely on a settlement that is not stored."""
    if len(closed) < least:
        return
    for first in range(0, len(closed), SETTLED_TOGETHER_MAX):
        group = closed[first : first + SETTLED_TOGETHER_MAX]
        numbers, settlement = {lane.lane: lane.number for lane in group}, new_lane()
        if await owner.settle(numbers, settlement=settlement):
            await peer.settle_seen(numbers, settlement=settlement)
