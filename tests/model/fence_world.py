"""Two writers and a coordinator that closes the gate of a store and then reads what was committed until then.

A writer may pause at every step. The rules are those of the service: the record is changed first, then every lane is
closed in a transaction of its own; a commit writes its lane. Registering a lane conflicts with a change of the control
record, or adds the lane and reads the record afterwards.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

WRITERS = (0, 1)


@dataclass(frozen=True)
class FenceRules:
    """The fence, and its unsound variants."""

    commit_checks: str = "lane"
    """`lane`: the commit writes its own lane. `memory`: the epoch is compared before the transaction. `snapshot`: the
    transaction reads the control record. `time`: the lease is compared by a clock that may be set back."""
    record_first: bool = True
    registration: str = "conflicts"
    """`conflicts`: with a change of the control record. `checks`: the record is read once the lane is there. `ignores`:
    the record was read before."""


@dataclass(frozen=True)
class FenceWorld:
    """`lanes` are None, or (is open, version); `writers` are (step, what the writer has seen)."""

    is_closed: bool = False
    control_version: int = 0
    lanes: tuple[tuple[bool, int] | None, ...] = ((True, 0), None)
    writers: tuple[tuple[str, int], ...] = (("idle", 0), ("new", 0))
    committed: frozenset[int] = frozenset()
    step: int = 0
    listed: tuple[int, ...] | None = None
    barrier: frozenset[int] | None = None
    clock_set_back: bool = False


class FenceModel:
    """The steps of the world under some rules."""

    def __init__(self, rules: FenceRules) -> None:
        self._rules = rules
        order = ["record", "list", "close", "barrier"]
        self._plan = order if rules.record_first else ["list", "close", "record", "barrier"]

    def steps(self, world: FenceWorld) -> Iterator[tuple[str, FenceWorld]]:
        """Every step that is possible now."""
        yield from self._coordinate(world)
        for writer in WRITERS:
            yield from self._write(world, writer)
        if self._rules.commit_checks == "time" and world.is_closed and not world.clock_set_back:
            yield "the clock is set back", replace(world, clock_set_back=True)

    @staticmethod
    def violation(world: FenceWorld) -> str | None:
        """A commit after the barrier was read: it is acknowledged, and nobody carries it over."""
        if world.barrier is not None and world.committed - world.barrier:
            return f"{sorted(world.committed - world.barrier)} committed after the barrier"
        return None

    def _coordinate(self, world: FenceWorld) -> Iterator[tuple[str, FenceWorld]]:
        if world.step == len(self._plan):
            return
        following = replace(world, step=world.step + 1)
        match self._plan[world.step]:
            case "record":
                version = world.control_version + 1
                yield "the record is closed", replace(following, is_closed=True, control_version=version)
            case "list":
                listed = tuple(at for at, lane in enumerate(world.lanes) if lane is not None)
                yield "the lanes are listed", replace(following, listed=listed)
            case "close":
                yield from self._close(world, following)
            case _:
                yield "the barrier is read", replace(following, barrier=world.committed)

    @staticmethod
    def _close(world: FenceWorld, following: FenceWorld) -> Iterator[tuple[str, FenceWorld]]:
        for at in world.listed or ():
            lane = world.lanes[at]
            if lane is not None and lane[0]:
                yield (
                    f"lane {at} is closed",
                    replace(world, lanes=_put(world.lanes, at, (False, lane[1] + 1))),
                )
                return
        yield "every listed lane is closed", following

    def _write(self, world: FenceWorld, writer: int) -> Iterator[tuple[str, FenceWorld]]:
        step, seen = world.writers[writer]
        lane = world.lanes[writer]
        if lane is None or step in ("new", "registering", "added"):
            yield from self._register(world, writer)
        elif step == "idle":
            if self._may_begin(world, lane):
                yield f"{writer} begins", _going(world, writer, "begun", lane[1])
        elif step == "begun":
            if self._may_commit(world, lane, seen):
                lanes = _put(world.lanes, writer, (lane[0], lane[1] + 1))
                stored = replace(world, lanes=lanes, committed=world.committed | {writer})
                yield f"{writer} commits", _going(stored, writer, "done")
            else:
                yield f"{writer} is refused", _going(world, writer, "refused")

    def _register(self, world: FenceWorld, writer: int) -> Iterator[tuple[str, FenceWorld]]:
        step, seen = world.writers[writer]
        if step == "new" and not world.is_closed:
            yield f"{writer} reads the record", _going(world, writer, "registering", world.control_version)
        elif step == "registering":
            added = replace(world, lanes=_put(world.lanes, writer, (True, 0)))
            if self._rules.registration == "checks":
                yield f"{writer} adds its lane", _going(added, writer, "added", seen)
            elif self._rules.registration == "conflicts" and world.control_version != seen:
                yield f"{writer} may not register", _going(world, writer, "refused")
            else:
                yield f"{writer} registers", _going(added, writer, "idle")
        elif step == "added":
            found = "idle" if world.control_version == seen else "refused"
            yield f"{writer} reads the record again and is {found}", _going(world, writer, found)

    def _may_begin(self, world: FenceWorld, lane: tuple[bool, int]) -> bool:
        if self._rules.commit_checks == "lane":
            return lane[0]
        return not world.is_closed or world.clock_set_back

    def _may_commit(self, world: FenceWorld, lane: tuple[bool, int], seen: int) -> bool:
        """A store checks in the transaction only what the transaction writes."""
        match self._rules.commit_checks:
            case "lane":
                return lane == (True, seen)
            case "time":
                return not world.is_closed or world.clock_set_back
            case _:
                return True


def _going(world: FenceWorld, writer: int, step: str, seen: int = 0) -> FenceWorld:
    return replace(world, writers=_put(world.writers, writer, (step, seen)))


def _put(values: tuple, at: int, value: object) -> tuple:  # type: ignore[type-arg]
    return (*values[:at], value, *values[at + 1 :])
