"""Moves whose order is wrong on purpose. Each of them loses writes, or leaves two owners or none, in some schedule."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from adapters.migration.ownership_change import ChangeOfOwner, control_of
from adapters.ownership import control, source_moves
from adapters.ownership.control import Gate, Ownership, Role
from adapters.records.lanes import Seen
from tests.unit.adapters.migration.move_world import SECOND, MovingService

Move = dict[str, Any]


class _NeverClosing(ChangeOfOwner):
    """The gate of the old owner stays open: a writer that sleeps, or has not looked, writes there."""

    async def _ready(self, move: Move) -> Mapping[int, Seen]:
        return await _delivered(self, move)


class _ClosingLate(ChangeOfOwner):
    """The gate closes only before the decision, when everything was delivered."""

    async def _ready(self, move: Move) -> Mapping[int, Seen]:
        return await _delivered(self, move)

    async def _armed(self, move: Move) -> Ownership:
        armed = await super()._armed(move)
        await source_moves.close_for_move(self.source, move)
        return armed


class _BarrierFirst(ChangeOfOwner):
    """Everything is delivered and the barrier noted, and then the gate closes."""

    async def _ready(self, move: Move) -> Mapping[int, Seen]:
        barrier = await _delivered(self, move)
        await source_moves.close_for_move(self.source, move)
        return barrier


class _OpenedFirst(ChangeOfOwner):
    """The successor is opened, not only armed, before the old owner decides, whose record alone is undone."""

    async def _armed(self, move: Move) -> Ownership:
        await self._ready(move)
        return await _made_owner(self, gate=Gate.OPEN)


class _MirrorArmedLater(ChangeOfOwner):
    """The new owner learns in a step of its own where to mirror to."""

    async def _armed(self, move: Move) -> Ownership:
        await self._ready(move)
        return await _made_owner(self, mirror_to=None)

    async def _decide(self, move: Move) -> None:
        await super()._decide(move)
        held = await control_of(self.successor)
        self.successor.admit(held.admission(self.source.me))
        mirroring = replace(held.ownership, mirror_to=self.source.store.name)
        await control.write(self.successor, mirroring, over=held)


class _UndoneAfterTheDecision(ChangeOfOwner):
    """A coordinator whose decision was not answered takes the writes back, without a look at the record."""

    async def _is_decided(self) -> bool:
        return False

    async def _undo(self, move: Move) -> None:
        await self.source.change(
            lambda now: replace(now.after_undo(), role=Role.OWNER, owner=now.store, mirror_to=SECOND)
        )


class NeverClosing(MovingService):
    """See `_NeverClosing`."""

    kind_of_change: ClassVar[type[ChangeOfOwner]] = _NeverClosing


class ClosingLate(MovingService):
    """See `_ClosingLate`."""

    kind_of_change: ClassVar[type[ChangeOfOwner]] = _ClosingLate


class BarrierFirst(MovingService):
    """See `_BarrierFirst`."""

    kind_of_change: ClassVar[type[ChangeOfOwner]] = _BarrierFirst


class OpenedFirst(MovingService):
    """See `_OpenedFirst`."""

    kind_of_change: ClassVar[type[ChangeOfOwner]] = _OpenedFirst


class MirrorArmedLater(MovingService):
    """See `_MirrorArmedLater`."""

    kind_of_change: ClassVar[type[ChangeOfOwner]] = _MirrorArmedLater


class UndoneAfterTheDecision(MovingService):
    """See `_UndoneAfterTheDecision`."""

    kind_of_change: ClassVar[type[ChangeOfOwner]] = _UndoneAfterTheDecision


class UndoneInTheSameEpoch(MovingService):
    """An undo opens the gate of the old owner and leaves its epoch, so an armed successor looks newer for ever."""

    async def end_move(self) -> None:
        held = await self.side.required()
        if held.ownership.role is Role.OWNER and held.ownership.move is not None:
            undone = replace(held.ownership, gate=Gate.OPEN, move=None)
            await control.write(self.raw_source, undone, over=held)


class SuccessorNotCompared(MovingService):
    """Whoever starts beside a decided move takes over without a look at what the former owner has seen there."""

    async def compare_successor(self) -> None:
        return


async def _made_owner(change: ChangeOfOwner, **wrong: object) -> Ownership:
    """Writes the successor's record with something wrong in it."""
    owner = (await change.source.required()).ownership
    held = await control_of(change.successor)
    next_owner = replace(owner.of_next_owner(held.ownership), **wrong)  # type: ignore[arg-type]
    return (await control.write(change.successor, next_owner, over=held)).ownership


async def _delivered(change: ChangeOfOwner, move: Move) -> Mapping[int, Seen]:
    await change._deliver_all()
    seen = (await change.source.store.positions(with_checkpointed=True)).seen
    await source_moves.note_barrier(change.source, move, {lane: of.number for lane, of in seen.items()})
    return seen
