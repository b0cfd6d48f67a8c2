"""A target that is an older copy of itself is completed in the background, whatever interrupts that."""

import asyncio

import pytest

from adapters.ownership.control import Peer
from adapters.ownership.long_task import PATIENCE_SECONDS
from domain.errors import StoreUnavailable
from tests.unit.adapters.ownership.world import Service, World, world_in_memory


async def test_exactly_what_an_older_target_lacks_is_delivered_again() -> None:
    world = await world_in_memory()
    service = await _behind(world, lost=3)
    await service.target.compare()
    assert await service.statuses() == ["SYNCED"] + ["PENDING"] * 3
    assert (await service.held()).ownership.peer == Peer("monty", 2)
    await service.mirror(await service.write(9))


async def test_a_completion_that_takes_long_shows_its_progress_and_is_not_cut_off() -> None:
    world = await world_in_memory()
    service = await _behind(world, lost=2)
    world.source.answers_searches.clear()
    with pytest.raises(StoreUnavailable, match="older copy of itself and is completed: 0 changes"):
        await asyncio.wait_for(service.target.compare(), 2 * PATIENCE_SECONDS)
    with pytest.raises(StoreUnavailable, match="is completed"):
        service.target.require_compared()
    world.source.answers_searches.set()
    await service.target.compare()
    assert await service.statuses() == ["SYNCED", "PENDING", "PENDING"]


async def test_a_process_that_ends_during_a_completion_leaves_the_loss_to_be_found() -> None:
    world = await world_in_memory()
    service = await _behind(world, lost=2)
    world.source.answers_searches.clear()
    with pytest.raises(StoreUnavailable, match="is completed"):
        await service.target.compare()
    await service.stop()
    world.source.answers_searches.set()
    following = await Service(world, "second").start()
    assert await following.statuses() == ["SYNCED", "PENDING", "PENDING"]
    assert following.side.refusal is None


async def test_the_incarnation_has_risen_before_the_loss_can_no_longer_be_found() -> None:
    world = await world_in_memory()
    service = await _behind(world, lost=2)
    seen: list[Peer | None] = []

    async def crash_once(step: str) -> None:
        if step == "lower" and not seen:
            seen.append((await service.held()).ownership.peer)
            raise StoreUnavailable("The process ends here.")

    service.raw_source.before = crash_once
    with pytest.raises(StoreUnavailable, match="ends here"):
        await service.target.compare()
    await service.target.compare()
    assert seen == [Peer("monty", 2)]
    peer = (await service.held()).ownership.peer
    assert peer is not None
    assert peer.incarnation >= 2


async def _behind(world: World, *, lost: int) -> Service:
    """A process whose target was put back to a copy that holds its first change alone."""
    service = await Service(world, "first").start()
    await service.mirror(await service.write(1))
    older = world.target.copied()
    await service.mirror(await service.write(*range(2, 2 + lost)))
    world.target.put_back(older)
    return service
