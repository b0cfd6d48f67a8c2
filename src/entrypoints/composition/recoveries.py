"""What an operator does after a loss: a new target, a recovery, and the target as the last store left."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from adapters.migration import survival
from adapters.migration.new_target import take_new_target
from adapters.migration.recovery import Recovery
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
from entrypoints.composition.inspection import inspected
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
    probe = build_store(name, stores)
    problem = await inspected(probe)
    await probe.close()
    if isinstance(problem, NothingStored):
        raise problem


async def _readable(store: LanedStore, stores: StoreSettings) -> LanedStore | None:
    """The store, open to be written; None if it is lost: its files are missing or damaged, or its server is gone.

    Raises StoreUnavailable for files that another process uses.
    """
    # A store that was only opened to be read cannot be opened again.
    probe = build_store(store.name, stores)
    problem = await inspected(probe)
    await probe.close()
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
    async with asyncio.timeout(stack.direction.connect_seconds):
        await target.open()
    return target
