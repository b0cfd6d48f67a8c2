"""What the positions of two stores show: whether one is an older copy, and whether another copy feeds the mirror.

Pure functions of the positions of both stores. They are explored in small worlds by `tests/model`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from adapters.records.change_set import LANE, LANE_NUMBER, SYNC_LANE, SYNC_NUMBER
from adapters.records.lanes import Lane, Positions, ProcessIdentity, Seen
from adapters.records.record import Record

LEASE_SECONDS = 8.0
"""A process is alive while its lanes were silent for no longer than this. A process beats on its own, whatever else it
does, so it is silent for no longer than BEAT_SECONDS and one call, unless the store did not answer.
"""
BEAT_SECONDS = 2.0

Numbers = Mapping[int, int]
"""By lane, the number at which a store stands."""
IsGone = Callable[[ProcessIdentity], bool]
"""Whether it is certain that a process has ended."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """By lane, where each store stands below what the other one has seen of it. Empty where nothing is missing."""

    target_behind: Numbers
    source_behind: Numbers


def compare(source: Positions, target: Positions) -> Comparison:
    """Compares the stores. `source` was read before `target`, so `source_behind` must be confirmed by a later reading
    of the source: in between the target may have seen more.
    """
    return Comparison(behind(target, source.seen), behind(source, target.seen))


def behind(store: Positions, seen: Mapping[int, Seen]) -> dict[int, int]:
    """The lanes of a store that stand below what its peer has seen of them, with the numbers where they stand.

    A lane that the store itself has seen elsewhere is not one of its own: after a move or a loss, entries of a former
    owner are delivered by another store.
    """
    return {
        lane: at
        for lane, of in seen.items()
        if (at := store.number_of(lane)) < of.number and (lane in store.lanes or lane not in store.seen)
    }


def is_lost(entry: Record, cuts: Numbers) -> bool:
    """Whether a target that stands at these numbers lacks an entry: it was brought there, or committed there, later."""
    stamps = ((entry.get(SYNC_LANE), entry.get(SYNC_NUMBER)), (entry.get(LANE), entry.get(LANE_NUMBER)))
    return any(
        lane is not None and number is not None and lane in cuts and number > cuts[lane]
        for lane, number in stamps
    )


def shows_life(lane: Lane) -> bool:
    """Whether the process of a lane has beaten within the lease.

    A beat further in the future than that is by a clock that was ahead then: a process that lives has beaten since.
    """
    return lane.is_open and abs(lane.silent_seconds) <= LEASE_SECONDS


@dataclass(frozen=True, slots=True)
class Watch:
    """For how many seconds a newcomer has watched each store without a gap."""

    source_seconds: float
    target_seconds: float


def absent_in_source(
    source: Positions, target: Positions, *, me: ProcessIdentity, watch: Watch
) -> list[Lane]:
    """The open lanes of the target whose processes have not shown themselves in this source.

    A copy of a source also holds the lanes of the original, as of the moment it was copied. So a process only counts as
    present if it did since this one began to watch.
    """
    present = {
        lane.by.process
        for lane in source.lanes.values()
        if shows_life(lane) and max(0.0, lane.silent_seconds) < min(watch.source_seconds, LEASE_SECONDS)
    }
    return [
        lane
        for lane in target.lanes.values()
        if lane.is_open and lane.by.process not in present and lane.by.process != me.process
    ]


def strangers(
    source: Positions, target: Positions, *, me: ProcessIdentity, watch: Watch, is_gone: IsGone
) -> list[Lane]:
    """The lanes of processes that may feed the target and are not alive in this source.

    After an outage of the target every lane there is silent. So silence only counts as an end if the newcomer has
    watched the target meanwhile.
    """
    is_watched = watch.target_seconds >= LEASE_SECONDS
    return [
        lane
        for lane in absent_in_source(source, target, me=me, watch=watch)
        if not (is_watched and not shows_life(lane)) and not is_gone(lane.by)
    ]


def dead_lanes(positions: Positions, *, is_gone: IsGone) -> list[Lane]:
    """The open lanes of processes that have certainly ended."""
    return [lane for lane in positions.lanes.values() if lane.is_open and is_gone(lane.by)]
