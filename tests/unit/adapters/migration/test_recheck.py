"""What has changed since the stores were compared is compared again before the ownership moves."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from adapters.migration.differing import StoresDiffer
from adapters.migration.evidence import keep_evidence, keep_horizon, load_horizon
from adapters.migration.in_flight import Patience
from adapters.migration.recheck import Point, Recheck, point_of, point_of_takeover
from adapters.ownership.control import Gate, Role
from adapters.records.change_set import ChangeSet, DeliveryMark, Put
from adapters.records.criteria import Question
from adapters.records.indexes import UNDELIVERED_ENTRIES
from adapters.records.record import ID
from adapters.records.specs import AUDIT_LOGS
from application.ports.migration import Verification
from domain.audit import SyncStatus
from domain.errors import StoreUnavailable
from tests.unit.adapters.migration.move_world import MovingService, opposite, ownership_of
from tests.unit.adapters.migration.pair import StepClock
from tests.unit.adapters.ownership.world import Database, World, world_in_memory
from tests.unit.builders import NOON
from tests.unit.contracts.builders import numbered_id, task

QUICK = Patience(first_pause_seconds=0.001, pause_seconds_max=0.005, seconds_max=0.05)


class _Relaying(MovingService):
    """Delivers as the relay does, with the lane of the target in its marks."""

    on_deliver: Callable[[], None] = staticmethod(lambda: None)

    async def deliver(self) -> None:
        question = Question(collection=AUDIT_LOGS.collection, where=UNDELIVERED_ENTRIES, limit=100)
        for entry in await self.raw_source.find(question):
            records = await self.raw_source.fetch(entry["collection"], [entry["entityId"]])
            put = Put(entry["collection"], records[entry["entityId"]], 0)
            await self.target.apply([ChangeSet((put,), (entry,))])
            mark = DeliveryMark(entry_id=entry[ID], status=SyncStatus.SYNCED, at=NOON)
            await self.source.mark([mark])

    async def point(self) -> Point:
        return await point_of(self.raw_source, self.raw_target, at=NOON)

    def recheck(self, since: Point) -> Recheck:
        return Recheck(self.raw_source, self.raw_target, since=since, clock=StepClock(), patience=QUICK)


class _Counted:
    """A store that counts what others change in it."""

    def __init__(self, store: object, count: int | None = 4) -> None:
        self._store, self.count = store, count

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def foreign_changes(self) -> int | None:
        return self.count


async def _mirroring() -> tuple[World, _Relaying]:
    world = await world_in_memory()
    service = await _Relaying(world, "one").start()
    await service.write(1, 2)
    await service.deliver()
    return world, service


async def _edit(database: Database, number: int, **fields: object) -> None:
    """Changes a record past the mirror."""
    (record,) = (await database.store.fetch("tasks", [numbered_id(number)])).values()
    await database.store.commit(ChangeSet((Put("tasks", {**record, **fields}, record["version"]),)))


async def test_equal_changes_move_the_point_and_are_compared_once() -> None:
    _, service = await _mirroring()
    recheck = service.recheck(await service.point())
    await service.write(3, 4, 5)
    await service.deliver()
    assert [await recheck.advance(), await recheck.advance()] == [3, 0]
    assert recheck.point.at > NOON


async def test_a_change_that_arrived_otherwise_is_named_and_the_point_stays() -> None:
    world, service = await _mirroring()
    since = await service.point()
    recheck = service.recheck(since)
    await service.write(3)
    await service.deliver()
    await _edit(world.target, 3, title="By hand")
    for look in (recheck.advance, recheck.require_equal):
        with pytest.raises(StoresDiffer, match=rf"tasks {numbered_id(3)} \(CHANGED: title\).*verify --full"):
            await look()
    assert recheck.point == since


async def test_what_is_on_its_way_is_compared_in_the_next_round() -> None:
    _, service = await _mirroring()
    recheck = service.recheck(await service.point())
    await service.write(3)
    assert (await recheck.advance(), recheck.is_complete) == (0, False)
    await service.deliver()
    assert (await recheck.advance(), recheck.is_complete) == (1, True)


@pytest.mark.parametrize("is_last_round", [False, True])
async def test_an_entry_that_is_applied_but_not_marked_yet_is_not_missed(*, is_last_round: bool) -> None:
    world, service = await _mirroring()
    recheck = service.recheck(await service.point())
    (written,) = await service.write(3)
    await service.target.apply([written])
    await _edit(world.target, 3, title="By hand")
    assert (await recheck.advance(), recheck.is_complete) == (0, False)
    (entry,) = written.entries
    await service.source.mark([DeliveryMark(entry_id=entry[ID], status=SyncStatus.SYNCED, at=NOON)])
    with pytest.raises(StoresDiffer, match=numbered_id(3)):
        await (recheck.require_equal() if is_last_round else recheck.advance())


async def test_many_changes_are_all_compared() -> None:
    world, service = await _mirroring()
    recheck = service.recheck(await service.point())
    for start in range(10, 700, 100):
        await service.mirror(await service.write(*range(start, start + 100)))
    await _edit(world.target, 705, title="By hand")
    with pytest.raises(StoresDiffer, match=numbered_id(705)):
        await recheck.advance()
    await _edit(world.target, 705, title=task(705)["title"])
    assert await recheck.advance() == 700


async def test_a_target_that_stands_below_the_point_is_an_older_copy() -> None:
    world, service = await _mirroring()
    copy = world.target.copied()
    await service.write(3)
    await service.deliver()
    recheck = service.recheck(await service.point())
    world.target.put_back(copy)
    with pytest.raises(StoresDiffer, match="older copy"):
        await recheck.advance()


@pytest.mark.parametrize(
    ("count", "cause"), [(6, "2 statements have changed the postgres store"), (None, "not counted")]
)
async def test_changes_past_tandem_are_told(count: int | None, cause: str) -> None:
    _, service = await _mirroring()
    target = _Counted(service.raw_target)
    since = await point_of(service.raw_source, target, at=NOON)  # type: ignore[arg-type]
    recheck = Recheck(service.raw_source, target, since=since, clock=StepClock())  # type: ignore[arg-type]
    assert await recheck.advance() == 0
    target.count = count
    for look in (recheck.advance, recheck.require_equal):
        with pytest.raises(StoresDiffer, match=cause):
            await look()


async def test_a_difference_that_appears_while_the_gate_is_closed_undoes_the_move() -> None:
    world, service = await _mirroring()
    recheck = service.recheck(await service.point())
    await service.write(3)

    async def deliver() -> None:
        await _Relaying.deliver(service)
        with suppress(KeyError):
            if (await ownership_of(world.source)).gate is Gate.CLOSED:
                await _edit(world.target, 3, title="By hand")

    change = replace(service.change(), recheck=recheck, deliver=deliver)
    with pytest.raises(StoresDiffer, match=numbered_id(3)):
        await change.run()
    owner, other = await ownership_of(world.source), await ownership_of(world.target)
    assert (owner.role, owner.gate, owner.move, other.role) == (Role.OWNER, Gate.OPEN, None, Role.MIRROR)
    await service.write(4)
    with pytest.raises(StoresDiffer, match=numbered_id(3)):
        await replace(service.change(), recheck=recheck).rehearse()
    await service.write(5)


async def test_a_move_compares_what_has_changed_and_goes_through() -> None:
    world, service = await _mirroring()
    recheck = service.recheck(await service.point())
    await service.write(3)
    await replace(service.change(), recheck=recheck).run()
    assert (await ownership_of(world.target)).role is Role.OWNER
    assert recheck.point.at > NOON


async def test_a_rollback_compares_what_came_back_since_the_take_over() -> None:
    world, service = await _mirroring()
    await service.change().run()
    turned = opposite(world)
    back = _Relaying(turned, "two", source="postgres")
    await back.side.take_over()
    await back.target.open()
    with pytest.raises(StoreUnavailable):
        await back.target.prepare()  # the coordinator was admitted there
    await turned.pass_time(9)
    await back.target.prepare()
    since = (await ownership_of(turned.source)).since
    point = await point_of_takeover(back.raw_target, since=since, at=NOON)
    await back.write(7, 8)
    await back.deliver()
    assert await back.recheck(point).advance() == 2
    await _edit(turned.target, 8, title="By hand")
    with pytest.raises(StoresDiffer, match=numbered_id(8)):
        await back.recheck(point).advance()


async def test_a_horizon_belongs_to_its_verification_and_only_moves_forward() -> None:
    _, service = await _mirroring()
    clock = StepClock()

    def verification() -> Verification:
        at = clock.now()
        return Verification(
            mode="FULL",
            started_at=at,
            ended_at=at,
            incarnation=1,
            epoch=1,
            collections=(),
            differences=(),
            difference_count=0,
        )

    first, second = verification(), verification()
    point = replace(await service.point(), at=clock.now())
    later = replace(point, at=clock.now(), foreign={"postgres": 3})
    source = service.raw_source
    await keep_evidence(source, first, point)
    assert await load_horizon(source, first) == point
    assert [await keep_horizon(source, first, one) for one in (later, point)] == [True, False]
    assert await load_horizon(source, first) == later
    await keep_evidence(source, second, point)
    assert (await load_horizon(source, first), await load_horizon(source, second)) == (None, point)
    assert not await keep_horizon(source, first, replace(point, at=clock.now()))
