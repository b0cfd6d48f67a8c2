"""A source that is an older copy of itself gets back what its target holds, and keeps what it wrote itself."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from adapters.migration.recovery import Recovery
from adapters.migration.taking import Taken
from adapters.ownership import control
from adapters.ownership.control import Gate, Held, Role
from adapters.ownership.refusals import OlderSource
from adapters.records.change_set import ChangeSet
from adapters.records.control_records import read_control
from adapters.records.record import Record
from adapters.records.specs import AUDIT_LOGS, SYNC_FIELDS
from domain.errors import Conflict, StoreUnavailable
from tests.servers.report import note_figures
from tests.unit.adapters.migration.move_world import Calls, Ended, MovingService, ownership_of
from tests.unit.adapters.ownership.world import Database, World, world_in_memory
from tests.unit.contracts.builders import change_set, entry, erasure, numbered_id, put, task

_ids = itertools.count(0xF000)


async def test_a_restored_source_gets_back_what_the_target_holds() -> None:
    world = await _restored()
    service = await _found_older(world)
    result = await _recovered(world, service)
    assert (result.changes, result.rebased, result.both) == (4, 0, ())
    await service.deliver()
    assert await _content(world.source) == await _content(world.target)
    tasks = await _tasks(world.source)
    assert tasks[1]["title"] == "Renamed"
    assert tasks[2]["isErased"] is True
    assert {4, 5} < tasks.keys()
    await service.write(6)


@pytest.mark.parametrize("own_writes", [1, 2])
async def test_own_writes_of_the_copy_follow_above_those_of_the_target(own_writes: int) -> None:
    world = await _restored(own_writes=own_writes)
    service = await _found_older(world)
    result = await _recovered(world, service)
    assert (result.rebased, result.both) == (own_writes, (("tasks", numbered_id(1)),))
    await service.deliver()
    assert await _content(world.source) == await _content(world.target)
    first = (await _tasks(world.source))[1]
    assert (first["version"], first["title"], first["description"]) == (2 + own_writes, "Renamed", "second")
    histories = await _histories(world.source)
    assert histories[numbered_id(1)] == list(range(1, 3 + own_writes))
    notes = [one["changes"]["rebased"] for one in await _entries(world.source) if "rebased" in one["changes"]]
    assert notes == [{"before": 2 + n, "after": 3 + n} for n in range(own_writes)]


async def test_what_was_removed_stays_removed_although_the_copy_has_changed_it() -> None:
    world = await _restored()
    await _write_apart(world, _changed(2, 2, {"title": "Edited in the copy"}))
    service = await _found_older(world)
    await _recovered(world, service)
    await service.deliver()
    assert (await _tasks(world.source))[2]["isErased"] is True
    assert await _content(world.source) == await _content(world.target)


async def test_what_the_copy_removed_stays_removed_although_the_target_has_changed_it() -> None:
    world = await _restored()
    removal = erasure("tasks", 1, version=2)
    await _write_apart(world, ChangeSet((removal,), (entry(removal, id=numbered_id(next(_ids))),)))
    service = await _found_older(world)
    await _recovered(world, service)
    await service.deliver()
    assert (await _tasks(world.source))[1]["isErased"] is True
    assert await _content(world.source) == await _content(world.target)


async def test_a_display_number_that_was_given_twice_is_replaced_in_the_copy() -> None:
    world = await world_in_memory()
    service = await MovingService(world, "first").start()
    older = world.source.copied()
    await service.mirror([await _committed(service, _created(4, displayId=7))])
    await service.stop()
    world.source.put_back(older)
    await _write_apart(world, _created(5, displayId=7))
    service = await _found_older(world)
    await _recovered(world, service)
    await service.deliver()
    tasks = await _tasks(world.source)
    assert (tasks[4]["displayId"], tasks[5]["displayId"]) == (7, 8)
    assert await _content(world.source) == await _content(world.target)
    _, value = await read_control(world.source.store, "display-numbers")
    assert value == {"reserved": 8}


async def test_an_idempotency_key_that_was_used_twice_stays_with_the_first_answer() -> None:
    world = await world_in_memory()
    service = await MovingService(world, "first").start()
    older = world.source.copied()
    await service.mirror([await _committed(service, _created(4, displayId=7), idempotencyKey="k")])
    await service.stop()
    world.source.put_back(older)
    await _write_apart(world, _created(5, displayId=7), idempotencyKey="k")
    service = await _found_older(world)
    await _recovered(world, service)
    await service.deliver()
    keys = {one["entityId"]: one["idempotencyKey"] for one in await _entries(world.source)}
    assert keys == {numbered_id(4): "k", numbered_id(5): None}
    assert await _content(world.source) == await _content(world.target)


async def test_the_same_copy_is_found_to_be_older_once_more() -> None:
    world = await world_in_memory()
    service = await MovingService(world, "first").start()
    await service.mirror(await service.write(1))
    older = world.source.copied()
    await service.mirror(await service.write(2))
    await service.stop()
    world.source.put_back(older)
    service = await _found_older(world)
    await _recovered(world, service)
    await service.stop()
    world.source.put_back(older)
    await _recovered(world, await _found_older(world))
    assert (await _tasks(world.source)).keys() == {1, 2}


async def test_nothing_that_was_sent_before_arrives_after_the_recovery() -> None:
    world = await _restored()
    service = await _found_older(world)
    late = change_set(change := put("tasks", task(77)), entries=[entry(change)])
    before = MovingService(world, "before")
    before.raw_target.admit((await _target_held(world)).admission(before.side.me))
    await before.raw_target.register()
    await _recovered(world, service)
    with pytest.raises(StoreUnavailable):
        await before.raw_target.apply_by_lane([late])
    assert 77 not in await _tasks(world.target)


async def test_a_source_that_is_not_older_is_not_recovered() -> None:
    world = await world_in_memory()
    service = await MovingService(world, "first").start()
    await service.mirror(await service.write(1))
    before = await ownership_of(world.source)
    with pytest.raises(Conflict, match="nothing to recover"):
        await _recovery(service).run()
    assert await ownership_of(world.source) == before
    await service.write(2)


async def test_a_failed_verification_leaves_the_source_closed_until_the_next_recovery() -> None:
    world = await _restored()
    service = await _found_older(world)

    async def failed() -> None:
        raise StoreUnavailable("It is down.")

    with pytest.raises(StoreUnavailable):
        await replace(_recovery(service), verify=failed).run()
    with pytest.raises(StoreUnavailable, match="tandem recover"):
        await service.write(6)
    await _recovered(world, service)
    await service.write(6)


@pytest.mark.parametrize("own_writes", [0, 2])
async def test_a_recovery_that_ended_at_any_call_can_be_run_again(own_writes: int) -> None:
    world = await _restored(own_writes=own_writes)
    await _found_older(world)
    source, target = world.source.copied(), world.target.copied()
    service = MovingService(world, "third")
    await _recovery(service).run()
    calls = range(1, service.calls.count + 1)
    for at, is_late in itertools.product(calls, (False, True)):
        world.source.put_back(source)
        world.target.put_back(target)
        service = MovingService(world, "third", calls=Calls(at, is_late=is_late))
        with pytest.raises(Ended):
            await _recovery(service).run()
        # It may have ended after the gate was open again.
        successor = MovingService(world, "second")
        if (await ownership_of(world.source)).gate is Gate.OPEN and not await _is_older(successor):
            await successor.side.open_gate(await successor.side.required())
        else:
            await _recovery(successor).run()
        await _admit(successor)
        await successor.deliver()
        assert await _content(world.source) == await _content(world.target), (at, is_late)
        tasks = await _tasks(world.source)
        assert {1, 2, 3, 4, 5} <= tasks.keys(), (at, is_late)
        assert tasks[1]["description"] == ("second" if own_writes else None)
        assert (await _histories(world.source))[numbered_id(1)] == list(range(1, 3 + own_writes))
        await successor.write(9)
    note_figures("a recovery ended", own_writes=own_writes, endings=2 * len(calls))


async def _restored(*, own_writes: int = 0) -> World:
    """A source restored from before four changes that the target holds, which has written itself meanwhile."""
    world = await world_in_memory()
    service = await MovingService(world, "first").start()
    await service.mirror(await service.write(1, 2, 3))
    older = world.source.copied()
    await service.mirror(await service.write(4, 5))
    removal = erasure("tasks", 2, version=2)
    removed = ChangeSet((removal,), (entry(removal, id=numbered_id(next(_ids))),))
    for change in (_changed(1, 2, {"title": "Renamed"}), removed):
        await service.mirror([await _committed(service, change)])
    await service.stop()
    world.source.put_back(older)
    texts = ["first", "second"][-own_writes:] if own_writes else []
    await _write_apart(
        world,
        *(_changed(1, 2 + n, {"description": text}) for n, text in enumerate(texts)),
    )
    return world


async def _write_apart(world: World, *changes: ChangeSet, **fields: Any) -> None:
    """Writes in the copy while the target cannot be reached."""
    if not changes:
        return
    world.target.is_down = True
    service = await MovingService(world, "apart").start()
    for change in changes:
        await _committed(service, change, **fields)
    world.target.is_down = False


async def _committed(service: MovingService, change: ChangeSet, **fields: Any) -> ChangeSet:
    entries = tuple({**one, **fields} for one in change.entries)
    changed = ChangeSet(change.puts, entries)
    stamp = await service.source.commit(changed)
    assert stamp is not None
    return ChangeSet(
        change.puts, tuple({**one, "lane": stamp.lane, "laneNumber": stamp.number} for one in entries)
    )


def _changed(number: int, version: int, fields: dict[str, Any]) -> ChangeSet:
    change = put("tasks", task(number, version=version, **fields))
    changes = {name: {"before": None, "after": value} for name, value in fields.items()}
    id_ = numbered_id(next(_ids))
    return change_set(change, entries=[entry(change, id=id_, changeSetId=id_, changes=changes)])


def _created(number: int, **fields: Any) -> ChangeSet:
    change = put("tasks", task(number, **fields))
    changes = {name: {"before": None, "after": value} for name, value in fields.items()}
    id_ = numbered_id(next(_ids))
    return change_set(change, entries=[entry(change, id=id_, changeSetId=id_, changes=changes)])


async def _found_older(world: World, calls: Calls | None = None) -> MovingService:
    """A process whose first comparison has closed the source."""
    service = MovingService(world, "later", calls=calls)
    await service.side.enter()
    await service.target.open()
    with pytest.raises(OlderSource):
        await service.target.prepare()
    await service.side.begin_writes()
    assert (await ownership_of(world.source)).gate is Gate.CLOSED
    return service


def _recovery(service: MovingService) -> Recovery:
    async def verified() -> None:
        assert (await ownership_of(service.world.source)).gate is Gate.CLOSED

    async def delivered() -> None:
        """The tests deliver afterwards."""

    return Recovery(source=service.side, target=service.raw_target, deliver=delivered, verify=verified)


async def _recovered(world: World, service: MovingService) -> Taken:
    result = await _recovery(service).run()
    owner, mirror = await ownership_of(world.source), await ownership_of(world.target)
    assert (owner.role, owner.gate, mirror.role) == (Role.OWNER, Gate.OPEN, Role.MIRROR)
    assert mirror.epoch < owner.epoch
    await _admit(service)
    return result


async def _admit(service: MovingService) -> None:
    await service.target.open()
    try:
        await service.target.prepare()
    except StoreUnavailable:
        # A process that has ended was admitted there.
        await service.world.pass_time(9)
        await service.target.prepare()


async def _is_older(service: MovingService) -> bool:
    try:
        await service.target_side.inspect()
    except OlderSource:
        return True
    return False


async def _target_held(world: World) -> Held:
    held = await control.read(world.target.store)
    assert held is not None
    return held


async def _tasks(database: Database) -> dict[int, Record]:
    found = await database.store.scan("tasks", after=None, limit=1_000)
    return {int(record["id"], 16): record for record in found}


async def _entries(database: Database) -> list[Record]:
    return await database.store.scan(AUDIT_LOGS.collection, after=None, limit=1_000)


async def _histories(database: Database) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for one in await _entries(database):
        found.setdefault(one["entityId"], []).append(one["version"])
    return {id_: sorted(versions) for id_, versions in found.items()}


async def _content(database: Database) -> list[Record]:
    """Tasks and entries, without what a store says of its own copies."""
    entries = [
        {key: value for key, value in one.items() if key not in SYNC_FIELDS}
        for one in await _entries(database)
    ]
    return [*(await _tasks(database)).values(), *entries]
