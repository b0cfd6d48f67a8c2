"""The change of ownership: the steps of a cut-over in the order that was proven, each written before the next begins.

The record of the old owner alone decides. Until it names the successor, any process may undo the move by one write to
that record; afterwards any process completes it. `docs/explanation/ownership-and-lanes.md` explains the order.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from loguru import logger

from adapters.migration.carried import carried_puts, carry_quarantine
from adapters.migration.recheck import Recheck
from adapters.ownership import control, source_moves
from adapters.ownership.comparison import behind
from adapters.ownership.control import Held, Ownership, Role
from adapters.ownership.fencing import close_lanes
from adapters.ownership.source_side import SourceSide
from adapters.records.lanes import LanedStore, Positions, ProcessIdentity, Seen
from domain.errors import Conflict, StoreUnavailable, TandemError

PAUSE_SECONDS_MAX = 5.0
"""A move that takes longer between hold and decision is undone, and the writes go on in the old owner."""
UNTIL_SECONDS = 15.0
"""After so long anybody may undo an undecided move, because its coordinator has ended or sleeps."""
CATCH_UP_SECONDS_MAX = 60.0
"""How long a move waits for the mirror to catch up, before any write has to wait."""
NEARLY_DELIVERED_MAX = 64
"""So many undelivered entries are delivered while writes wait."""
CATCH_UP_PAUSE_SECONDS = 0.05
VAIN_ROUNDS_MAX = 3
"""A mark is not accepted where the lane of its apply was closed just then, so one round may bring nothing forward."""

Deliver = Callable[[], Awaitable[None]]
Count = Callable[[], Awaitable[int]]
Hold = Callable[[], AbstractAsyncContextManager[None]]


class NotDelivered(Conflict):
    """Entries of the old owner did not reach the successor, so the move was undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeOfOwner:
    """Makes `successor`, which has received the mirror of `source`, the owner.

    `hold` lets the writes of this process wait and returns once none is under way. `deliver` delivers what is
    undelivered in the source; `undelivered` counts it.
    """

    source: SourceSide
    successor: LanedStore
    hold: Hold
    deliver: Deliver
    undelivered: Count
    follow: Callable[[], Awaitable[bool]]
    """Lets this process use the new owner."""
    recheck: Recheck | None = None
    """Compares what has changed since the stores were compared. None where the move is forced."""

    async def run(self) -> Ownership:
        """Returns the control record of the new owner. Raises the error that made it undo the move."""
        move = new_move(self.successor.name, self.source.me)
        await source_moves.begin_move(self.source, move)
        try:
            await self._catch_up()
            async with self.hold():
                await self._decide(move)
                # Decided: where this process cannot follow now, it does so within a second.
                with suppress(StoreUnavailable):
                    await self.follow()
        except BaseException as error:
            await asyncio.shield(self._undo(move))
            if not isinstance(error, TandemError) or not await self._is_decided():
                raise
        return (await control_of(self.successor)).ownership

    async def rehearse(self) -> None:
        """Goes through the same steps up to the decision, and undoes the move instead of deciding."""
        move = new_move(self.successor.name, self.source.me)
        await source_moves.begin_move(self.source, move)
        try:
            await self._catch_up()
            async with self.hold():
                async with _in_time():
                    await self._ready(move)
                await source_moves.undo_move(self.source, move)
        except BaseException:
            await asyncio.shield(self._undo(move))
            raise

    async def _ready(self, move: dict[str, Any]) -> Mapping[int, Seen]:
        """Closes the source, delivers the rest, notes the barrier (how far the source has seen the successor), and
        compares what has changed since the last comparison.
        """
        move["until"] = _until(UNTIL_SECONDS)
        await source_moves.close_for_move(self.source, move)
        await self._deliver_all()
        seen = (await self.source.store.positions(with_checkpointed=True)).seen
        await source_moves.note_barrier(self.source, move, {lane: of.number for lane, of in seen.items()})
        if self.recheck is not None:
            await self.recheck.require_equal()
        return seen

    async def _armed(self, move: dict[str, Any]) -> Ownership:
        barrier = await self._ready(move)
        # Armed for a move that was undone meanwhile, the successor would have a later epoch than the owner.
        owner = source_moves.under_way(move, (await self.source.required()).ownership)
        held = await control.disarm(self.successor, await control_of(self.successor), owner)
        _require_mirror(owner, held.ownership)
        positions = await self.successor.positions(with_checkpointed=True)
        if behind(positions, barrier):
            raise StoreUnavailable(
                f"The {self.successor.name} store is an older copy of itself; it is completed first."
            )
        beside = await carried_puts(self.source.store, self.successor)
        armed = await control.write(
            self.successor, owner.of_next_owner(held.ownership), over=held, beside=beside
        )
        # Listed after the record has changed, so that no lane of an applier is missed.
        await close_lanes(self.successor)
        return armed.ownership

    async def _decide(self, move: dict[str, Any]) -> None:
        try:
            async with _in_time():
                await source_moves.decide(self.source, move, await self._armed(move))
        except BaseException:
            if not await asyncio.shield(self._is_decided()):
                raise

    async def _catch_up(self) -> None:
        """Delivers, compares and copies until little is left.

        Raises NotDelivered if that takes too long, and StoresDiffer.
        """
        deadline = asyncio.get_running_loop().time() + CATCH_UP_SECONDS_MAX
        while (left := await self.undelivered()) > NEARLY_DELIVERED_MAX:
            if asyncio.get_running_loop().time() > deadline:
                raise _not_delivered(left, self.successor.name)
            await self.deliver()
            await asyncio.sleep(CATCH_UP_PAUSE_SECONDS)
        if self.recheck is not None:
            await self.recheck.catch_up()
        await carry_quarantine(self.source.store, self.successor)

    async def _deliver_all(self) -> None:
        """Delivers everything, in a source that takes no writes. Raises NotDelivered for what is not accepted."""
        left, vain = await self.undelivered(), 0
        while left:
            await self.deliver()
            before, left = left, await self.undelivered()
            vain = vain + 1 if left >= before else 0
            if vain == VAIN_ROUNDS_MAX:
                raise _not_delivered(left, self.successor.name)

    async def _is_decided(self) -> bool:
        """Whether the decision was stored although its reply was lost. False where nobody can tell now."""
        try:
            owner = (await self.source.required()).ownership
        except StoreUnavailable:
            return False
        return owner.role is Role.MIRROR and owner.owner == self.successor.name

    async def _undo(self, move: dict[str, Any]) -> None:
        """Undoes an undecided move. Where that fails, any process does it once the time of the move is over."""
        try:
            owner = (await self.source.required()).ownership
            if owner.role is Role.OWNER and owner.move is not None and owner.move["id"] == move["id"]:
                await source_moves.undo_move(self.source, move)
        except TandemError as failure:
            logger.error("The move is not undone yet, but will be when its time is over: {}", failure.message)


@asynccontextmanager
async def _in_time() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(PAUSE_SECONDS_MAX):
            yield
    except TimeoutError:
        raise Conflict(
            f"Writes would have waited for more than {PAUSE_SECONDS_MAX:.0f} s, so the move was undone. Try again when"
            " the mirror has caught up: tandem sync status"
        ) from None


def _not_delivered(left: int, name: str) -> NotDelivered:
    return NotDelivered(
        f"{left} changes did not reach {name}, so the writes stay where they are. See why: tandem sync failures"
    )


async def control_of(store: LanedStore) -> Held:
    """The control record of a store that must have one. Raises StoreUnavailable."""
    held = await control.read(store)
    if held is None:
        raise StoreUnavailable(f"The {store.name} store has no control record.")
    return held


async def retire(store: LanedStore) -> None:
    """Takes a mirror out of its installation for good. Harmless when done already. Raises Conflict for an owner."""
    held = await control_of(store)
    if held.ownership.role is Role.OWNER:
        raise Conflict(f"The {store.name} store owns the writes, so it cannot be retired.")
    if held.ownership.role is Role.MIRROR:
        await control.write(store, replace(held.ownership, role=Role.RETIRED), over=held)


def is_overdue(owner: Ownership, *, is_gone: Callable[[ProcessIdentity], bool], now: datetime) -> bool:
    """Whether an undecided move of this owner may be undone by anybody: its coordinator has ended or sleeps."""
    if owner.role is not Role.OWNER or owner.move is None:
        return False
    coordinator = ProcessIdentity(**owner.move["by"])
    return is_gone(coordinator) or now >= datetime.fromisoformat(owner.move["until"])


def require_complete(successor: Positions, former: Positions) -> None:
    """Raises StoreUnavailable if the successor lacks writes that the former owner has seen there."""
    if behind(successor, former.seen):
        raise StoreUnavailable("The new owner is an older copy of itself. Bring it back: tandem recover")


def new_move(to: str, me: ProcessIdentity) -> dict[str, Any]:
    """The note of a move to this store that begins now, as the control record of the source holds it."""
    return {
        "id": secrets.token_hex(8),
        "to": to,
        "coordinator": str(me),
        "by": asdict(me),
        "until": _until(CATCH_UP_SECONDS_MAX + UNTIL_SECONDS),
    }


def _until(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


def _require_mirror(owner: Ownership, found: Ownership) -> None:
    is_mirror = found.role is Role.MIRROR and found.installation == owner.installation
    if not is_mirror or found.epoch > owner.epoch:
        raise Conflict(
            f"The {found.store} store is {found.role} of installation {found.installation} in epoch {found.epoch}, so"
            f" it cannot take over from epoch {owner.epoch}."
        )
