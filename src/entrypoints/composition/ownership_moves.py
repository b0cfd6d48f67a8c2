"""Builds the change of ownership for the stores of this process."""

from functools import partial

from adapters.migration.ownership_change import ChangeOfOwner, retire
from adapters.migration.recheck import Recheck
from domain.errors import Conflict
from domain.migration import NO_TARGET
from entrypoints.composition.store_stack import StoreStack

HOLD_SECONDS_MAX = 3.0
"""How long a move waits for writes under way."""


def change_of_owner(stack: StoreStack, *, recheck: Recheck | None = None) -> ChangeOfOwner:
    """The move of the ownership to the present target. Raises Conflict for a single store."""
    direction = stack.direction
    if direction.raw_target is None:
        raise Conflict(NO_TARGET)
    return ChangeOfOwner(
        source=direction.ownership,
        successor=direction.raw_target,
        hold=partial(stack.switching.held, seconds_max=HOLD_SECONDS_MAX),
        deliver=direction.deliver,
        undelivered=direction.undelivered,
        follow=stack.follow,
        recheck=recheck,
    )


async def retire_former_owner(stack: StoreStack) -> None:
    """Takes the former owner out of the installation, once its mirror is stopped. Raises StoreUnavailable."""
    for store in stack.stores.values():
        if store is not stack.direction.raw_source:
            await store.open()
            await retire(store)


def last_pause_ms(stack: StoreStack) -> int:
    """How long writes waited during the last move that this process coordinated."""
    return round(stack.switching.last_held_seconds * 1000)
