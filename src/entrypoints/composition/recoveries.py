"""What an operator does after a loss: a new target, a recovery, and the target as the last store left."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from adapters.migration import survival
from adapters.migration.new_target import require_empty, take_new_target
from adapters.migration.recovery import Recovery, require_recovery_of
from adapters.migration.steps import note_step
from adapters.ownership.control import Ownership
from adapters.ownership.last_seen import LastSeen
from adapters.ownership.process_identity import this_process
from adapters.records.lanes import LanedStore
from adapters.records.on_disk import OnDisk
from adapters.records.record_store import NothingStored
from application.actor import SYSTEM_ID
from application.ports.migration import ChangedTwice, Recovered, StepTaken, Verification
from domain.errors import Conflict, StoreUnavailable
from domain.migration import NO_TARGET, Step
from entrypoints.composition.direction import Direction
from entrypoints.composition.probing import probed
from entrypoints.composition.schema import bring_up, require_current
from entrypoints.composition.settings import Settings, StoreSettings
from entrypoints.composition.store_stack import StoreStack
from entrypoints.composition.stores import build_store

BEING_REPLACED = "An empty store takes its place at this moment."
BEING_READ = "The source takes back what the target holds."
BECOMES_OWNER = "It becomes the owner of the writes."
CONNECTED_SECONDS_MAX = 120.0


async def take_target(stack: StoreStack) -> None:
    """Makes the empty store at the target's address the target. Raises Conflict and StoreUnavailable."""
    direction = stack.direction
    target = await _opened_target(stack)
    async with direction.undisturbed(BEING_REPLACED):
        await take_new_target(direction.ownership, target, bring_up=bring_up)


async def look_at_new_target(stack: StoreStack, settings: StoreSettings) -> None:
    """Raises what `take_target` raises of a store that cannot become the target. Changes nothing."""
    direction = stack.direction
    if direction.target is None or direction.raw_target is None:
        raise Conflict(NO_TARGET)
    if await direction.target.answers_now():
        await require_empty(direction.raw_target)
        return
    async with probed(settings, direction.raw_target.name) as (store, problem):
        if problem is None:
            await require_empty(store)
        elif not isinstance(problem, NothingStored):
            raise problem


async def until_connected(stack: StoreStack) -> None:
    """Waits until the relay delivers to the target. Raises StoreUnavailable after CONNECTED_SECONDS_MAX."""
    deadline = asyncio.get_running_loop().time() + CONNECTED_SECONDS_MAX
    while (trouble := await stack.direction.target_trouble()) is not None:
        if asyncio.get_running_loop().time() > deadline:
            raise StoreUnavailable(f"The target is not connected yet: {trouble}")
        await asyncio.sleep(0.1)


async def recover(stack: StoreStack, *, verify: Callable[[], Awaitable[Verification]]) -> Recovered:
    """Recovers the source of this process from its target. Raises Conflict and StoreUnavailable."""
    direction = stack.direction
    target = await _opened_target(stack)
    verified: list[Verification] = []

    async def keep() -> None:
        verified.append(await verify())

    recovery = Recovery(
        source=direction.ownership, target=target, deliver=lambda: _delivered(direction), verify=keep
    )
    await recovery.require_needed()
    async with direction.undisturbed(BEING_READ):
        taken = await recovery.run()
    await stack.forget_cached()
    return Recovered(
        changes=taken.changes,
        rebased=taken.rebased,
        changed_twice=tuple(ChangedTwice(collection=name, id=id_) for name, id_ in taken.both),
        changed_twice_count=taken.both_count,
        verification=verified[-1],
    )


async def require_recovery(stack: StoreStack) -> None:
    """Raises Conflict for a source that needs no recovery from its target, and StoreUnavailable. Changes nothing."""
    target = await stack.direction.require_target()
    await require_recovery_of(stack.direction.ownership, target)


async def _delivered(direction: Direction) -> None:
    """Delivers to a target that was just fenced. What is rejected stays undelivered, and the verification finds it.

    Raises StoreUnavailable.
    """
    if direction.target is None:
        raise Conflict(NO_TARGET)
    await direction.target.connect()
    left = await direction.undelivered()
    while left:
        await direction.deliver()
        before, left = left, await direction.undelivered()
        if left >= before:
            return


async def survive(stack: StoreStack) -> Ownership:
    """Makes the target of this process the owner in place of a lost source. Raises Conflict and StoreUnavailable."""
    direction = stack.direction
    target = await _opened_target(stack)
    async with direction.undisturbed(BECOMES_OWNER):
        owner = await survival.survive(target, direction.raw_source, by=this_process())
    await stack.follow()
    return owner


async def survive_without_service(settings: Settings, *, reason: str) -> Ownership:
    """`survive` with the stores of these settings, where the source is gone, so that nothing starts.

    Raises Conflict, StoreUnavailable and StoreRefused.
    """
    stores = settings.stores
    if stores.target is None:
        raise Conflict(NO_TARGET)
    await _require_stored(stores.target, stores)
    former: LanedStore = build_store(stores.source, stores)
    survivor: LanedStore = build_store(stores.target, stores)
    try:
        await survivor.open()
        await require_current(survivor)
        readable = await _readable(former, stores)
        owner = await survival.survive(survivor, readable, by=this_process())
        survivor.forget_admission()
        detail = f"The source was given up: {reason}"
        at = datetime.now(UTC)
        await note_step(survivor, StepTaken(step=Step.RECOVER.value, at=at, by=SYSTEM_ID, detail=detail))
        # What was seen of the lost source says nothing about the new owner.
        positions = await survivor.positions(with_checkpointed=True)
        last_seen = LastSeen(stores.lasting_directory)
        await asyncio.to_thread(last_seen.forget_beyond, positions, installation=owner.installation)
        return owner
    finally:
        await survivor.close()
        await former.close()


async def _require_stored(name: str, stores: StoreSettings) -> None:
    """Raises NothingStored for a store that opening would create."""
    async with probed(stores, name) as (_, problem):
        if isinstance(problem, NothingStored):
            raise problem


async def _readable(store: LanedStore, stores: StoreSettings) -> LanedStore | None:
    """The store, open to be written; None if it is lost: its files are missing or damaged, or its server is gone.

    Raises StoreUnavailable for files that another process uses.
    """
    async with probed(stores, store.name) as (_, problem):
        pass
    if isinstance(problem, StoreUnavailable) and isinstance(store, OnDisk):
        raise problem
    if problem is not None:
        return None
    await store.open()
    return store


async def _opened_target(stack: StoreStack) -> LanedStore:
    target = stack.direction.raw_target
    if target is None:
        raise Conflict(NO_TARGET)
    direction = stack.direction
    try:
        async with asyncio.timeout(direction.connect_seconds):
            await target.open()
    except TimeoutError:
        raise StoreUnavailable(
            f"{target.name} does not answer within {direction.connect_seconds:.0f} s."
        ) from None
    return target
