"""What a process finds in the control records, and what it does about it: the table of `ownership_change`, as read by
whoever comes next.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from enum import Enum, auto

from adapters.migration.ownership_change import control_of, is_overdue, require_complete
from adapters.ownership import control
from adapters.ownership.control import Gate, Ownership, Role
from adapters.ownership.process_identity import is_gone
from adapters.ownership.refusals import Moving
from adapters.ownership.source_moves import undo_move
from adapters.ownership.source_side import SourceSide
from adapters.records.lanes import LanedStore
from adapters.records.record_store import SchemaMissing, StoreRefused
from domain.errors import Conflict, StoreUnavailable


class SourceState(Enum):
    """What the source of a process is at present."""

    OWNER = auto()
    MOVING = auto()
    """Its gate is closed while the ownership moves; that is not decided yet."""
    SUCCEEDED = auto()
    """Another store owns the writes."""


async def source_state(source: SourceSide, *, now: datetime) -> SourceState:
    """Reads the control record of an entered source. Undoes an undecided move once its time is over or its coordinator
    has ended, and takes writes again after somebody has undone one. Raises StoreUnavailable.
    """
    held = await source.required()
    found = held.ownership
    if found.role is not Role.OWNER:
        return SourceState.SUCCEEDED
    if found.move is not None and is_overdue(found, is_gone=is_gone, now=now):
        try:
            await undo_move(source, found.move)
        except Conflict:
            # Another process was faster; how it ended shows at the next look.
            return SourceState.MOVING
        return SourceState.OWNER
    if found.gate is not Gate.OPEN:
        return SourceState.OWNER if found.move is None else SourceState.MOVING
    if isinstance(source.refusal, Moving):
        await source.open_gate(held)
    return SourceState.OWNER


async def successor_of(former: LanedStore, successor: LanedStore) -> Ownership:
    """The record of the store that owns the writes after `former`, once it is sure that this is the one.

    Raises StoreUnavailable if it is not, or if it lacks writes that the former owner has seen.
    """
    decided = (await control_of(former)).ownership
    found = (await control_of(successor)).ownership
    is_cited = found.gate is Gate.OPEN or found.opening == decided.opening
    is_owner = found.role is Role.OWNER and found.installation == decided.installation
    if not is_owner or not is_cited or decided.owner != found.store or found.epoch < decided.epoch:
        raise StoreUnavailable(
            f"The {former.name} store says that {decided.owner} owns the writes in epoch {decided.epoch}, and the"
            f" {found.store} store is {found.role} in epoch {found.epoch}. Bring it back: tandem recover"
        )
    require_complete(
        await successor.positions(with_checkpointed=True), await former.positions(with_checkpointed=True)
    )
    return found


async def owner_among(first: LanedStore, second: LanedStore, *, seconds_max: float) -> Ownership | None:
    """The record of the owner; None for a new installation. Opens `first`, which is the source of a new one, and the
    other one only where `first` does not own the writes, or only after a move that was perhaps undone.

    Raises StoreUnavailable and StoreRefused as opening `first` does, unless the other one owns the writes; also as
    opening the other one does, if that one decides.
    """
    try:
        await first.open()
        found = await ownership_in(first)
    except (StoreUnavailable, StoreRefused):
        other = await _reachable(second, seconds_max)
        if not has_taken_over(other, former=None):
            raise
        return other
    if found is None:
        other = await _reachable(second, seconds_max)
        return other if has_taken_over(other, former=None) else None
    if found.role is Role.OWNER and found.gate is not Gate.ARMED:
        return found
    # Neither a mirror takes writes nor a store that was armed for a move, unless the move was decided: the other says.
    other = await _opened(second, seconds_max)
    if found.role is Role.OWNER:
        return found if has_taken_over(found, former=other) else other
    return other if has_taken_over(other, former=found) else found


async def owner_in(opened: Sequence[LanedStore]) -> Ownership | None:
    """The record of the store that owns the writes in place of the first owner, of those that can be read; None where
    that is not known to have changed. Raises StoreUnavailable.
    """
    records = [await ownership_in(store) for store in opened]
    for record in records:
        former = next((other for other in records if other is not record), None)
        if has_taken_over(record, former=former):
            return record
    return None


def has_taken_over(found: Ownership | None, *, former: Ownership | None) -> bool:
    """Whether this store owns the writes in place of the former owner; an armed one only if the former one cites it."""
    if found is None or found.role is not Role.OWNER or found.epoch <= control.FIRST_EPOCH:
        return False
    is_cited = former is not None and (former.owner, former.opening) == (found.store, found.opening)
    return found.gate is not Gate.ARMED or is_cited


async def _opened(store: LanedStore, seconds_max: float) -> Ownership | None:
    """The control record; None where there is none. Raises StoreUnavailable and StoreRefused."""
    try:
        async with asyncio.timeout(seconds_max):
            await store.open()
            return await ownership_in(store)
    except TimeoutError:
        raise StoreUnavailable(f"The {store.name} store does not answer.") from None


async def _reachable(store: LanedStore, seconds_max: float) -> Ownership | None:
    """`_opened`; None also where the store cannot be read now."""
    try:
        return await _opened(store, seconds_max)
    except (StoreUnavailable, StoreRefused):
        return None


async def ownership_in(store: LanedStore) -> Ownership | None:
    """The control record of an opened store; None where there is none. Raises StoreUnavailable."""
    try:
        held = await control.read(store)
    except SchemaMissing:
        return None
    return None if held is None else held.ownership
