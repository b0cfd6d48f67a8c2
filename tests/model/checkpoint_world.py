"""A mirror with checkpoints of its closed lanes, put back from a copy up to two times, in miniature.

`compare` and `is_lost` are the real ones. Checkpointed lanes are left out unless the others do not agree, as in the
service; a repair is one step here, because `mirror_world` explores its parts.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from adapters.ownership.comparison import compare, is_lost
from adapters.records.lanes import Lane, Positions, ProcessIdentity, Seen

RESTORES_MAX = 2
FIRST_CHECKPOINT = 10
_BY = ProcessIdentity("p", "h", "b", 1)


class Rule(Enum):
    """The rule, and its unsound variants."""

    SOUND = "as in the service"
    UNSEEN = "the peer does not note the checkpoint"
    UNVERIFIED = "the owner checkpoints lanes that are not closed at their numbers"
    ANY_NUMBER = "the peer marks what it has seen as checkpointed, whatever its number"
    RAISES_CHECKPOINTED = "a late mark leaves what was seen checkpointed"
    CUTS_CHECKPOINTED = "a cut leaves what was seen checkpointed"


@dataclass(frozen=True)
class Mirror:
    """What can be copied and put back: the entries, the numbers of lanes, which are closed or checkpointed."""

    held: frozenset[int] = frozenset()
    lanes: tuple[tuple[int, int], ...] = ()
    closed: frozenset[int] = frozenset()
    checkpointed: frozenset[int] = frozenset()


@dataclass(frozen=True)
class World:
    """`entries` are None, or what a process holds or has noted: (is noted, lane, number)."""

    entries: tuple[tuple[bool, int, int] | None, ...] = (None, None)
    mirror: Mirror = Mirror()
    copies: tuple[Mirror, ...] = ()
    restores: int = 0
    seen: tuple[tuple[int, Seen], ...] = ()
    generation: int = 0
    remembered: int = 0
    checkpoints: int = 0
    pending: tuple[tuple[tuple[int, int], ...], int | None] | None = None
    """The numbers that were read; and the checkpoint, once the mirror has stored it."""


@dataclass(frozen=True)
class Limits:
    """How much may happen in a world that is explored completely."""

    copies: int = 1
    checkpoints: int = 1
    lanes: int = 2


class CheckpointModel:
    """The steps of the world under a rule, within these limits."""

    def __init__(self, rule: Rule, limits: Limits) -> None:
        self._rule, self._limits = rule, limits

    def steps(self, world: World) -> Iterator[tuple[str, World]]:
        """Every step that is possible now."""
        for at, entry in enumerate(world.entries):
            if entry is None:
                yield from self._apply(world, at)
            elif not entry[0]:
                yield self._mark(world, at, entry[1], entry[2])
        for lane, _ in world.mirror.lanes:
            if lane not in world.mirror.closed:
                closed = replace(world.mirror, closed=world.mirror.closed | {lane})
                yield f"close {lane}", replace(world, mirror=closed)
        if (
            len(world.copies) < self._limits.copies
            and world.mirror not in world.copies
            and not world.restores
        ):
            yield "copy the mirror", replace(world, copies=(*world.copies, world.mirror))
        for number, copy in enumerate(world.copies if world.restores < RESTORES_MAX else ()):
            yield f"restore copy {number}", replace(world, mirror=copy, restores=world.restores + 1)
        behind = self._behind(world)
        if behind:
            yield "repair", self._repaired(world, behind)
        yield from self._checkpoint(world, is_clean=not behind)

    def violation(self, world: World) -> str | None:
        """An entry that counts as mirrored, is not in the mirror, and that no comparison misses."""
        lost = [
            at for at, entry in enumerate(world.entries) if entry and entry[0] and at not in world.mirror.held
        ]
        return f"entries {lost} are lost" if lost and not self._behind(world) else None

    def _apply(self, world: World, at: int) -> Iterator[tuple[str, World]]:
        mirror, lane = world.mirror, world.generation
        number = dict(mirror.lanes).get(lane, 0)
        # After a repair a process is admitted again, so it uses no lane that was cut.
        is_cut = dict(world.seen).get(lane, Seen(0)).cut is not None
        if number == world.remembered and lane not in mirror.closed and not is_cut:
            lanes = tuple(sorted({**dict(mirror.lanes), lane: number + 1}.items()))
            applied = replace(mirror, held=mirror.held | {at}, lanes=lanes)
            entries = _put(world.entries, at, (False, lane, number + 1))
            yield f"apply {at}", replace(world, mirror=applied, entries=entries, remembered=number + 1)
        elif lane + 1 < self._limits.lanes:
            yield "open another lane", replace(world, generation=lane + 1, remembered=0)

    def _mark(self, world: World, at: int, lane: int, number: int) -> tuple[str, World]:
        known = dict(world.seen).get(lane, Seen(0))
        if not known.accepts(number):
            return f"the mark of {at} is void", replace(world, entries=_put(world.entries, at, None))
        is_checkpointed = known.is_checkpointed and self._rule is Rule.RAISES_CHECKPOINTED
        raised = Seen(max(known.number, number), known.cut, is_checkpointed)
        entries = _put(world.entries, at, (True, lane, number))
        return f"mark {at}", replace(world, entries=entries, seen=_seeing(world, {lane: raised}))

    def _behind(self, world: World) -> dict[int, int]:
        """The lanes that stand too low, by those in use, and by all where these do not agree."""
        found: dict[int, int] = {}
        for with_checkpointed in (False, True):
            seen = {lane: of for lane, of in world.seen if with_checkpointed or not of.is_checkpointed}
            positions = _positions(world.mirror, with_checkpointed=with_checkpointed)
            found = dict(compare(Positions({}, seen), positions).target_behind)
            if not found:
                break
        return found

    def _repaired(self, world: World, cuts: Mapping[int, int]) -> World:
        seen = {}
        for lane, of in world.seen:
            cut = cuts.get(lane, of.cut)
            number = min(of.number, cuts.get(lane, of.number))
            seen[lane] = Seen(number, cut, of.is_checkpointed and self._rule is Rule.CUTS_CHECKPOINTED)
        for at, entry in enumerate(world.entries):
            if entry and entry[0] and is_lost({"syncLane": entry[1], "syncNumber": entry[2]}, cuts):
                world = replace(world, entries=_put(world.entries, at, None))
        return replace(world, seen=_seeing(world, seen))

    def _checkpoint(self, world: World, *, is_clean: bool) -> Iterator[tuple[str, World]]:
        if world.pending is None:
            seen, mirror = dict(world.seen), world.mirror
            numbers = tuple(
                (lane, number)
                for lane, number in mirror.lanes
                if lane in mirror.closed
                and not (lane in mirror.checkpointed and seen.get(lane, Seen(0, None, True)).is_checkpointed)
            )
            if numbers and is_clean and world.checkpoints < self._limits.checkpoints:
                yield (
                    "read what is closed",
                    replace(world, pending=(numbers, None), checkpoints=world.checkpoints + 1),
                )
            return
        numbers, checkpoint = world.pending
        if checkpoint is None:
            yield self._added(world, dict(numbers))
        else:
            yield f"the source sees {checkpoint}", self._seen(world, dict(numbers), checkpoint)

    def _added(self, world: World, numbers: dict[int, int]) -> tuple[str, World]:
        mirror = world.mirror
        lanes = dict(mirror.lanes)
        is_closed = all(
            lane in mirror.closed and lanes.get(lane) == number for lane, number in numbers.items()
        )
        if not is_closed and self._rule is not Rule.UNVERIFIED:
            return "the mirror adds no checkpoint", replace(world, pending=None)
        checkpoint = FIRST_CHECKPOINT + world.checkpoints
        added = replace(
            mirror,
            lanes=tuple(sorted({**lanes, checkpoint: 1}.items())),
            closed=mirror.closed | {checkpoint},
            checkpointed=mirror.checkpointed | set(numbers),
        )
        return "the mirror adds a checkpoint", replace(
            world, mirror=added, pending=(tuple(numbers.items()), checkpoint)
        )

    def _seen(self, world: World, numbers: dict[int, int], checkpoint: int) -> World:
        seen = {}
        for lane, of in world.seen:
            is_covered = lane in numbers and (of.number <= numbers[lane] or self._rule is Rule.ANY_NUMBER)
            seen[lane] = replace(of, is_checkpointed=of.is_checkpointed or is_covered)
        if self._rule is not Rule.UNSEEN:
            seen[checkpoint] = Seen(1)
        return replace(world, seen=_seeing(world, seen), pending=None)


def _positions(mirror: Mirror, *, with_checkpointed: bool) -> Positions:
    lanes = {
        lane: Lane(
            lane=lane,
            number=number,
            is_open=lane not in mirror.closed,
            epoch=1,
            opening="",
            by=_BY,
            silent_seconds=0.0,
        )
        for lane, number in mirror.lanes
        if with_checkpointed or lane not in mirror.checkpointed
    }
    return Positions(lanes)


def _seeing(world: World, seen: Mapping[int, Seen]) -> tuple[tuple[int, Seen], ...]:
    return tuple(sorted({**dict(world.seen), **seen}.items(), key=lambda one: one[0]))


def _put(
    entries: tuple[tuple[bool, int, int] | None, ...], at: int, entry: tuple[bool, int, int] | None
) -> tuple[tuple[bool, int, int] | None, ...]:
    return (*entries[:at], entry, *entries[at + 1 :])
