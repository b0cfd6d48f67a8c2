"""What a command that only reads says of stores that must not be used, without writing into them."""

from pathlib import Path

from adapters.ownership.refusals import OlderSource, WritesRefused
from adapters.records.record_store import StoreRefused
from entrypoints.composition.inspection import Problem, objections
from tests.unit.adapters.ownership.world import TARGET, Database, Service, World, world_in_memory


async def test_sound_stores_of_a_stopped_service_are_not_objected_to(tmp_path: Path) -> None:
    world = await _served(tmp_path)
    assert await _found(world) == {}


async def test_an_older_source_is_named(tmp_path: Path) -> None:
    world = await world_in_memory(tmp_path)
    service = await Service(world, "first").start()
    older = world.source.copied()
    await service.mirror(await service.write(1))
    await service.stop()
    world.source.put_back(older)
    (problem,) = (await _found(world)).values()
    assert isinstance(problem, OlderSource)
    assert "older copy of itself" in str(problem)


async def test_an_older_source_without_its_target_is_named(tmp_path: Path) -> None:
    world = await world_in_memory(tmp_path)
    service = await Service(world, "first").start()
    older = world.source.copied()
    await service.write(1)
    await service.stop()
    world.source.put_back(older)
    (problem,) = (await _found(world, can_read_target=False)).values()
    assert isinstance(problem, WritesRefused)


async def test_an_older_target_is_named_with_what_completes_it(tmp_path: Path) -> None:
    world = await world_in_memory(tmp_path)
    service = await Service(world, "first").start()
    older = world.target.copied()
    await service.mirror(await service.write(1))
    await service.stop()
    world.target.put_back(older)
    problem = (await _found(world))[TARGET]
    assert "older copy of itself" in str(problem)
    assert "tandem serve" in str(problem)


async def test_an_emptied_target_is_named(tmp_path: Path) -> None:
    world = await _served(tmp_path)
    world.target = await Database().opened()
    assert "emptied" in str((await _found(world))[TARGET])


async def test_the_target_of_another_installation_is_named(tmp_path: Path) -> None:
    world, other = await _served(tmp_path), await _served(None)
    world.target = other.target
    problem = (await _found(world))[TARGET]
    assert isinstance(problem, StoreRefused)
    assert "belongs to another installation" in str(problem)


async def test_an_empty_source_beside_a_filled_target_is_named(tmp_path: Path) -> None:
    world = await _served(tmp_path)
    world.source = await Database().opened()
    (problem,) = (await _found(world)).values()
    assert "is empty" in str(problem)


async def _served(directory: Path | None) -> World:
    """The stores of a service that has mirrored one task and ended."""
    world = await world_in_memory(directory)
    service = await Service(world, "first").start()
    await service.mirror(await service.write(1))
    await service.stop()
    return world


async def _found(world: World, *, can_read_target: bool = True) -> dict[str, Problem]:
    """The objections of a process that writes nothing."""
    service = Service(world, "reader")
    found = await objections(service.side, service.target_side if can_read_target else None)
    assert (service.raw_source.writes, service.raw_target.writes) == (0, 0)
    return dict(found)
