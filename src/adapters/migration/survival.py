"""The target becomes the owner although its source is lost: what had not reached it is given up."""

from adapters.migration.ownership_change import control_of
from adapters.ownership import control
from adapters.ownership.checkpoints import compared
from adapters.ownership.control import Gate, Held, Ownership, Role
from adapters.ownership.fencing import fence
from adapters.records.lanes import LanedStore, ProcessIdentity
from domain.errors import Conflict, StoreUnavailable


async def survive(survivor: LanedStore, former: LanedStore | None, *, by: ProcessIdentity) -> Ownership:
    """Returns the control record of the new owner. `former` is the source as far as it can be read.

    The former owner is retired first, if it is still there, so that at no time both take writes. Otherwise its record
    shows a lower epoch, should it come back. Repeatable after a crash. Raises Conflict where nothing is lost, and
    StoreUnavailable.
    """
    held = await control_of(survivor)
    found = held.ownership
    if found.role is not Role.MIRROR:
        raise Conflict(
            f"The {survivor.name} store is {found.role} in epoch {found.epoch}, so it cannot take over. See: tandem"
            " move status"
        )
    other = None if former is None else await _record_of(former, found)
    if former is not None and other is not None:
        await _require_lost(former, other, survivor)
    epoch = max(found.epoch, 0 if other is None else other.ownership.epoch) + 2
    name = found.owner if former is None else former.name
    owner = found.of_survivor(former=name, epoch=epoch)
    if former is not None and other is not None and other.ownership.role is not Role.RETIRED:
        await fence(former, other, other.ownership.after_loss(owner), by)
    await fence(survivor, held, owner, by)
    return owner


async def _record_of(former: LanedStore, found: Ownership) -> Held | None:
    """The control record of the former owner; None for a store that is empty or of another installation."""
    try:
        other = await control.read(former)
    except StoreUnavailable:
        return None
    return None if other is None or other.ownership.installation != found.installation else other


async def _require_lost(former: LanedStore, other: Held, survivor: LanedStore) -> None:
    owner = other.ownership
    # A move that was not decided closes the gate, too, and only has to be undone.
    is_closed_for_good = owner.gate is not Gate.OPEN and owner.move is None
    if owner.role is not Role.OWNER or is_closed_for_good:
        return
    if not (await compared(former, survivor)).found.source_behind:
        raise Conflict(
            f"The {former.name} store answers and lacks nothing, so nothing has to be given up. To make"
            f" {survivor.name} the owner without losing a write: tandem move cutover"
        )
