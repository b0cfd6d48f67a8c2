"""Builds the change of ownership for the stores of this process."""

import asyncio
from functools import partial

from adapters.migration.ownership_change import ChangeOfOwner, retire
from adapters.migration.recheck import Recheck
from adapters.records.record_store import NotOpen
from domain.errors import Conflict, StoreUnavailable
from domain.migration import NO_TARGET
from entrypoints.composition.inspection import INSPECT_SECONDS_MAX
from entrypoints.composition.probing import require_readable_at
from entrypoints.composition.settings import StoreSettings
from entrypoints.composition.store_stack import StoreStack
from entrypoints.composition.stores import CompleteStore

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
    for store in _former_owners(stack):
        await store.open()
        await retire(store)


async def look_at_former_owner(stack: StoreStack, settings: StoreSettings) -> None:
    """Raises StoreUnavailable and StoreRefused for a former owner that cannot be read. Changes nothing."""
    for store in _former_owners(stack):
        try:
            async with asyncio.timeout(INSPECT_SECONDS_MAX):
                await store.ping()
        except NotOpen:
            await require_readable_at(settings, store.name)
        except TimeoutError:
            raise StoreUnavailable(
                f"{store.name} does not answer within {INSPECT_SECONDS_MAX:.0f} s."
            ) from None


def _former_owners(stack: StoreStack) -> list[CompleteStore]:
    return [store for store in stack.stores.values() if store is not stack.direction.raw_source]


def last_pause_ms(stack: StoreStack) -> int:
    """How long writes waited during the last move that this process coordinated."""
    return round(stack.switching.last_held_seconds * 1000)
