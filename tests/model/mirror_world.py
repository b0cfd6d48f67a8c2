"""A source and its mirror in miniature: two processes commit, apply and mark; either store is copied and put back.

The world has the shape of the service; `compare`, `is_lost` and what accepts a mark are the real ones. A `Rules` with
another value than the default is a variant that must be caught.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

from adapters.ownership.comparison import behind, compare, is_lost
from adapters.records.lanes import Lane, Positions, ProcessIdentity, Seen

PROCESSES = (0, 1)
_BY = ProcessIdentity("p", "h", "b", 1)


class Position(Enum):
    """What a comparison of the mirror looks at."""

    LANES = "lanes"
    NEWEST_ID = "newest id"
    MARGIN = "newest id with a margin of one"
    COUNT = "count of entries"
    COUNTER = "one counter row"
    GIVEN_BEFORE = "number given before the transaction, row keeps the greatest"
    DELETED = "lanes whose process has ended are deleted"


class Marking(Enum):
    """How a source notes that the mirror confirmed an entry."""

    TOGETHER = "seen and entry in one transaction"
    ENTRY_FIRST = "the entry, then what was seen"
    SEEN_FIRST_UNCUT = "what was seen, then the entry, whatever was cut in between"


@dataclass(frozen=True)
class Rules:
    """The protocol, and its unsound variants."""

    position: Position = Position.LANES
    marking: Marking = Marking.TOGETHER
    cuts_first: bool = True
    repairs_by_origin: bool = True


@dataclass(frozen=True)
class Entry:
    """One entry of the source. `mark` is the (lane, number) of its confirmation.

    `origin` is the (lane, number) of its commit in the mirror, while that was the owner; it counts as mirrored then.
    """

    is_committed: bool = False
    origin: tuple[int, int] | None = None
    is_reopened: bool = False
    mark: tuple[int, int] | None = None
    answer: tuple[int, int] | None = None
    """What a process holds in memory between the mirror's confirmation and the mark."""
    is_half_marked: bool = False

    @property
    def counts_as_mirrored(self) -> bool:
        """Whether nobody delivers it any more."""
        return self.mark is not None or (self.origin is not None and not self.is_reopened)


@dataclass(frozen=True)
class World:
    """Everything that stores and processes hold. Lanes are numbered 2 * process + generation."""

    entries: tuple[Entry, ...]
    held: frozenset[int] = frozenset()
    """The entries in the mirror."""
    lanes: tuple[tuple[int, int], ...] = ()
    """The mirror's lanes, as (lane, number)."""
    seen: tuple[tuple[int, int, int | None], ...] = ()
    """What the source has seen of them, as (lane, number, cut)."""
    remembered: tuple[int, ...] = (0, 0)
    """The number of each process's lane as the process knows it."""
    generations: tuple[int, ...] = (0, 0)
    copy: tuple[frozenset[int], tuple[tuple[int, int], ...]] | None = None
    is_restored: bool = False
    begun: tuple[int | None, ...] = ()
    """Per entry the number that was given before its transaction."""
    repairing: tuple[tuple[int, int], ...] | None = None
    """A repair between its steps: the cuts."""
    ended: frozenset[int] = frozenset()


def first_world(entries: int) -> World:
    """A world in which nothing has happened yet."""
    return World((Entry(),) * entries, begun=(None,) * entries)


def world_after_a_switch(entries: int) -> World:
    """A world whose mirror was the owner: it committed entry 0 by its lane 4, after somebody had copied it."""
    origin = Entry(is_committed=True, origin=(4, 1))
    world = first_world(entries)
    return replace(
        world,
        entries=(origin, *world.entries[1:]),
        held=frozenset({0}),
        lanes=((4, 1),),
        seen=((4, 1, None),),
        copy=(frozenset(), ()),
    )


class MirrorModel:
    """The steps of the world under some rules."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules

    def steps(self, world: World) -> Iterator[tuple[str, World]]:
        """Every step that is possible now."""
        for at, entry in enumerate(world.entries):
            if not entry.is_committed:
                yield f"commit {at}", _with(world, at, replace(entry, is_committed=True))
                continue
            if entry.answer is not None:
                yield from self._mark(world, at, entry)
            elif not entry.counts_as_mirrored:
                yield from self._apply(world, at)
        if world.copy is None:
            yield "copy the mirror", replace(world, copy=(world.held, world.lanes))
        elif not world.is_restored:
            held, lanes = world.copy
            yield "restore the mirror", replace(world, held=held, lanes=lanes, is_restored=True)
        yield from self._compare(world)
        if self._rules.position is Position.DELETED:
            yield from self._delete(world)

    def violation(self, world: World) -> str | None:
        """An entry that counts as mirrored, is not in the mirror, and that no comparison misses."""
        lost = [
            at for at, entry in enumerate(world.entries) if entry.counts_as_mirrored and at not in world.held
        ]
        if lost and world.repairing is None and not self._finds(world):
            return f"entries {lost} are lost"
        return None

    def _apply(self, world: World, at: int) -> Iterator[tuple[str, World]]:
        for process in PROCESSES:
            if process in world.ended:
                continue
            lane = 2 * process + world.generations[process]
            number = dict(world.lanes).get(lane, 0)
            remembered = world.remembered[process]
            if self._rules.position is Position.GIVEN_BEFORE:
                yield from self._apply_in_two_steps(world, at, process=process, number=number)
            elif self._rules.position is Position.COUNTER:
                yield (
                    f"{process} applies {at}",
                    _applied(world, at, lane=0, number=dict(world.lanes).get(0, 0) + 1),
                )
            elif number == remembered:
                applied = _applied(world, at, lane=lane, number=number + 1)
                yield f"{process} applies {at}", _remembering(applied, process, number + 1)
            elif world.generations[process] == 0:
                generations = _put(world.generations, process, 1)
                renewed = replace(
                    world, generations=generations, remembered=_put(world.remembered, process, 0)
                )
                yield f"{process} lost its lane and opens another one", renewed

    def _apply_in_two_steps(
        self, world: World, at: int, *, process: int, number: int
    ) -> Iterator[tuple[str, World]]:
        lane, given = 2 * process, world.begun[at]
        if given is None:
            following = world.remembered[process] + 1
            begun = replace(world, begun=_put(world.begun, at, following))
            yield f"{process} begins {at}", _remembering(begun, process, following)
        else:
            applied = _applied(world, at, lane=lane, number=given)
            lanes = {**dict(world.lanes), lane: max(number, given)}
            yield f"{process} stores {at}", replace(applied, lanes=tuple(sorted(lanes.items())))

    def _mark(self, world: World, at: int, entry: Entry) -> Iterator[tuple[str, World]]:
        assert entry.answer is not None
        lane, number = entry.answer
        seen = _seen(world)
        accepts = seen.get(lane, Seen(0)).accepts(number)
        marked = _with(world, at, replace(entry, mark=entry.answer, answer=None, is_half_marked=False))
        match self._rules.marking:
            case Marking.TOGETHER if accepts:
                yield f"mark {at}", _seeing(marked, lane, number)
            case Marking.TOGETHER:
                yield f"the mark of {at} is void", _with(world, at, replace(entry, answer=None))
            case Marking.ENTRY_FIRST:
                half = replace(entry, mark=entry.answer, is_half_marked=True)
                if not entry.is_half_marked:
                    yield f"mark {at}, half", _with(world, at, half)
                else:
                    yield f"mark {at}, the rest", _seeing(marked, lane, number)
            case Marking.SEEN_FIRST_UNCUT:
                if not entry.is_half_marked:
                    half = replace(entry, is_half_marked=True)
                    yield f"mark {at}, half", _seeing(_with(world, at, half), lane, number)
                else:
                    yield f"mark {at}, the rest", marked

    def _finds(self, world: World) -> bool:
        confirmed = [at for at, entry in enumerate(world.entries) if entry.mark]
        newest = max(world.held, default=-1)
        match self._rules.position:
            case Position.NEWEST_ID | Position.MARGIN:
                return newest < max(confirmed, default=-1)
            case Position.COUNT:
                return len(world.held) < len(confirmed)
            case _:
                return bool(compare(Positions({}, _seen(world)), _positions(world)).target_behind)

    def _compare(self, world: World) -> Iterator[tuple[str, World]]:
        if world.repairing is not None:
            yield "finish the repair", _repaired(world, dict(world.repairing), self._rules)
        elif self._finds(world):
            if self._rules.position in (Position.NEWEST_ID, Position.MARGIN, Position.COUNT):
                yield "repair by position", self._repaired_by_position(world)
                return
            cuts = dict(compare(Positions({}, _seen(world)), _positions(world)).target_behind)
            begun = replace(world, repairing=tuple(sorted(cuts.items())))
            if self._rules.cuts_first:
                begun = _cut(begun, cuts)
                yield "cut", _reopened(begun, cuts, self._rules)
            else:
                yield "search without a cut", _reopened(begun, cuts, self._rules)

    def _repaired_by_position(self, world: World) -> World:
        margin = 1 if self._rules.position is Position.MARGIN else 0
        newest = max(world.held, default=-1)
        for at, entry in enumerate(world.entries):
            if entry.mark and (at > newest - margin or self._rules.position is Position.COUNT):
                world = _with(world, at, replace(entry, mark=None))
        return world

    def _delete(self, world: World) -> Iterator[tuple[str, World]]:
        """A process ends, and its lane is removed from both stores."""
        if 0 not in world.ended:
            yield "process 0 ends", replace(world, ended=world.ended | {0})
            return
        lanes = tuple((lane, number) for lane, number in world.lanes if lane > 1)
        seen = tuple(row for row in world.seen if row[0] > 1)
        if not self._finds(world) and (lanes, seen) != (world.lanes, world.seen):
            yield "the lanes of process 0 are deleted", replace(world, lanes=lanes, seen=seen)


def _repaired(world: World, cuts: dict[int, int], rules: Rules) -> World:
    """The last step: what was seen is lowered to the cuts."""
    seen = {
        lane: (min(number, cuts.get(lane, number)), cut if rules.cuts_first else None)
        for lane, number, cut in world.seen
    }
    rows = tuple((lane, number, cut) for lane, (number, cut) in sorted(seen.items()))
    return replace(world, seen=rows, repairing=None)


def _reopened(world: World, cuts: dict[int, int], rules: Rules) -> World:
    for at, entry in enumerate(world.entries):
        sync_lane, sync_number = entry.mark or (None, None)
        lane, number = (entry.origin if rules.repairs_by_origin else None) or (None, None)
        stamps = {"syncLane": sync_lane, "syncNumber": sync_number, "lane": lane, "laneNumber": number}
        if entry.counts_as_mirrored and is_lost(stamps, cuts):
            reopened = replace(entry, mark=None, is_reopened=True, is_half_marked=False)
            world = _with(world, at, reopened)
    return world


def _cut(world: World, cuts: dict[int, int]) -> World:
    rows = tuple(
        (lane, number, min(cuts[lane], cut if cut is not None else cuts[lane]) if lane in cuts else cut)
        for lane, number, cut in world.seen
    )
    return replace(world, seen=rows)


def _positions(world: World) -> Positions:
    lanes = {
        lane: Lane(lane=lane, number=number, is_open=True, epoch=1, opening="", by=_BY, silent_seconds=0.0)
        for lane, number in world.lanes
    }
    return Positions(lanes)


def _seen(world: World) -> dict[int, Seen]:
    return {lane: Seen(number, cut) for lane, number, cut in world.seen}


def _seeing(world: World, lane: int, number: int) -> World:
    """What was seen of a lane rises, never above a cut."""
    rows = {one: (at, cut) for one, at, cut in world.seen}
    at, cut = rows.get(lane, (0, None))
    rows[lane] = (max(at, number if cut is None else min(number, cut)), cut)
    return replace(world, seen=tuple((one, at, cut) for one, (at, cut) in sorted(rows.items())))


def _applied(world: World, at: int, *, lane: int, number: int) -> World:
    lanes = {**dict(world.lanes), lane: number}
    entry = replace(world.entries[at], answer=(lane, number))
    stored = replace(world, held=world.held | {at}, lanes=tuple(sorted(lanes.items())))
    return _with(stored, at, entry)


def _remembering(world: World, process: int, number: int) -> World:
    return replace(world, remembered=_put(world.remembered, process, number))


def _with(world: World, at: int, entry: Entry) -> World:
    return replace(world, entries=_put(world.entries, at, entry))


def _put(values: tuple, at: int, value: object) -> tuple:  # type: ignore[type-arg]
    return (*values[:at], value, *values[at + 1 :])


__all__ = [
    "Marking",
    "MirrorModel",
    "Position",
    "Rules",
    "World",
    "behind",
    "first_world",
    "world_after_a_switch",
]
