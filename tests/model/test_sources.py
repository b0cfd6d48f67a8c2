"""A source that is an older copy of itself, and a clone beside the original."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from adapters.ownership.comparison import LEASE_SECONDS, Watch, behind, strangers
from adapters.records.lanes import Lane, Positions, ProcessIdentity, Seen
from tests.model.exploration import explore

SILENT = LEASE_SECONDS + 1
BEAT_LATE = 3
"""Seconds between two beats at worst."""


@dataclass(frozen=True)
class SourceWorld:
    """Two writers, each with a lane; `held` are (entry, lane, number) in the source, `mirrored` are entries there."""

    held: frozenset[tuple[int, int, int]] = frozenset()
    mirrored: frozenset[int] = frozenset()
    lanes: tuple[tuple[int, int], ...] = ()
    seen: tuple[tuple[int, int], ...] = ()
    numbers: tuple[int, int] = (0, 0)
    copy: tuple[frozenset[tuple[int, int, int]], tuple[tuple[int, int], ...]] | None = None
    is_restored: bool = False
    known: tuple[tuple[int, int, int], ...] = ()
    """Every entry that was committed, with its stamp, as the processes hold it in memory."""


class SourceModel:
    """Writers commit by lanes, and the mirror notes what it has seen, unless the rule is the newest id."""

    def __init__(self, *, by_newest_id: bool) -> None:
        self._by_newest_id = by_newest_id

    def steps(self, world: SourceWorld) -> Iterator[tuple[str, SourceWorld]]:
        """Every step that is possible now."""
        for entry in range(3):
            lane = entry % 2
            number = dict(world.lanes).get(lane, 0)
            is_new = entry not in {one for one, _, _ in world.known}
            if is_new and number == world.numbers[lane]:
                stamp = (entry, lane, number + 1)
                lanes = tuple(sorted({**dict(world.lanes), lane: number + 1}.items()))
                numbers = tuple(number + 1 if at == lane else one for at, one in enumerate(world.numbers))
                committed = replace(
                    world, held=world.held | {stamp}, known=(*world.known, stamp), lanes=lanes
                )
                yield f"commit {entry}", replace(committed, numbers=numbers)  # type: ignore[arg-type]
        for entry, lane, number in world.known:
            if entry not in world.mirrored:
                seen = {**dict(world.seen), lane: max(number, dict(world.seen).get(lane, 0))}
                noted = tuple(sorted(seen.items()))
                yield f"mirror {entry}", replace(world, mirrored=world.mirrored | {entry}, seen=noted)
        if world.copy is None:
            yield "copy the source", replace(world, copy=(world.held, world.lanes))
        elif not world.is_restored:
            held, lanes = world.copy
            yield "restore the source", replace(world, held=held, lanes=lanes, is_restored=True)

    def violation(self, world: SourceWorld) -> str | None:
        """The mirror holds what the source lacks, and the comparison finds nothing."""
        entries = {entry for entry, _, _ in world.held}
        missing = world.mirrored - entries
        if missing and not self._finds(world, entries):
            return f"{sorted(missing)} are missing"
        return None

    def _finds(self, world: SourceWorld, entries: set[int]) -> bool:
        if self._by_newest_id:
            return max(entries, default=-1) < max(world.mirrored, default=-1)
        positions = Positions({lane: _lane(lane, number) for lane, number in world.lanes})
        return bool(behind(positions, {lane: Seen(number) for lane, number in world.seen}))


def _lane(lane: int, number: int, *, process: str = "p", silent_seconds: float = 0.0) -> Lane:
    by = ProcessIdentity(process, "host", "boot", 1)
    return Lane(
        lane=lane, number=number, is_open=True, epoch=1, opening="", by=by, silent_seconds=silent_seconds
    )


@pytest.mark.parametrize(("by_newest_id", "is_sound"), [(False, True), (True, False)])
def test_an_older_source_is_found_by_its_lanes_and_not_by_its_newest_entry(
    *, by_newest_id: bool, is_sound: bool
) -> None:
    model = SourceModel(by_newest_id=by_newest_id)
    assert (explore(SourceWorld(), model.steps, model.violation).violation is None) is is_sound


@dataclass(frozen=True)
class CloneWorld:
    """An original that feeds the mirror, and a copy of its source that starts beside it; in seconds.

    The mirror may be down for a while: then nobody beats there, and the copy sees that it does not answer.
    """

    is_copied: bool = False
    is_beating: bool = True
    """Whether the original is alive; a copy holds its lanes as of the moment of the copy."""
    watched: int = 0
    silent_in_copy: int = 0
    silent_in_mirror: int = 0
    is_up: bool = True
    had_outage: bool = False
    up_for: int = BEAT_LATE
    mirror_watched: int = 0
    is_admitted: bool = False


class CloneModel:
    """The clone asks the real rule, or one of the variants `sets` and `silence`."""

    def __init__(self, variant: str) -> None:
        self._variant = variant

    def steps(self, world: CloneWorld) -> Iterator[tuple[str, CloneWorld]]:
        """Every step that is possible now."""
        if not world.is_copied:
            yield "the source is copied", replace(world, is_copied=True)
            return
        if world.watched < 2 * SILENT:
            yield "a second passes", _a_second_later(world)
        if world.is_beating:
            yield "the original ends", replace(world, is_beating=False)
        if not world.had_outage:
            down = replace(world, is_up=False, had_outage=True, mirror_watched=0, up_for=0)
            yield "the mirror is down", down
        elif not world.is_up:
            yield "the mirror is back", replace(world, is_up=True)
        if world.is_up and not world.is_admitted and self._admits(world):
            yield "the clone is admitted", replace(world, is_admitted=True)

    @staticmethod
    def violation(world: CloneWorld) -> str | None:
        """Both feed the mirror. (Once admitted, the original ending afterwards changes nothing.)"""
        return "two sources feed the mirror" if world.is_admitted and world.is_beating else None

    def _admits(self, world: CloneWorld) -> bool:
        copy = Positions({1: _lane(1, 5, process="original", silent_seconds=world.silent_in_copy)})
        target = Positions({2: _lane(2, 7, process="original", silent_seconds=world.silent_in_mirror)})
        if self._variant == "sets":
            processes = {lane.by.process for lane in copy.lanes.values()}
            return all(lane.by.process in processes for lane in target.lanes.values())
        me = ProcessIdentity("clone", "host", "boot", 2)
        mirror_watched = SILENT if self._variant == "silence" else world.mirror_watched
        watch = Watch(world.watched, mirror_watched)
        return not strangers(copy, target, me=me, watch=watch, is_gone=lambda by: False)


def _a_second_later(world: CloneWorld) -> CloneWorld:
    """The original is late: it beats BEAT_LATE seconds after the mirror is back."""
    up_for = min(world.up_for + 1, BEAT_LATE) if world.is_up else 0
    beats = world.is_beating and up_for == BEAT_LATE
    return replace(
        world,
        watched=world.watched + 1,
        silent_in_copy=world.silent_in_copy + 1,
        silent_in_mirror=0 if beats else min(world.silent_in_mirror + 1, int(SILENT)),
        up_for=up_for,
        mirror_watched=world.mirror_watched + 1 if world.is_up else 0,
    )


@pytest.mark.parametrize(("variant", "is_sound"), [("lanes", True), ("sets", False), ("silence", False)])
def test_a_clone_is_never_admitted_beside_its_original(variant: str, *, is_sound: bool) -> None:
    model = CloneModel(variant)
    assert (explore(CloneWorld(), model.steps, model.violation).violation is None) is is_sound


def test_a_successor_is_admitted_once_the_original_has_ended() -> None:
    model = CloneModel("lanes")

    def admitted(world: CloneWorld) -> str | None:
        return "admitted" if world.is_admitted else None

    assert explore(CloneWorld(), model.steps, admitted).violation == "admitted"
