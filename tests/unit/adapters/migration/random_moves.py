"""One random run of an installation whose ownership moves there and back: processes write, mirror, move, end and sleep
at any call, and the mirror is restored from older copies. Its seed repeats it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

from adapters.migration.following import owner_among, source_state
from adapters.migration.ownership_change import ChangeOfOwner
from adapters.ownership.control import Gate, Ownership, Role
from adapters.records.record import ID, VERSION, Record
from adapters.records.record_store import StoreRefused
from adapters.records.specs import AUDIT_LOGS
from domain.errors import StoreUnavailable, TandemError
from tests.unit.adapters.migration.backfill_world import contents
from tests.unit.adapters.migration.move_world import (
    FIRST,
    SECOND,
    Ended,
    MovingService,
    opposite,
    ownership_of,
    takes_writes,
)
from tests.unit.adapters.migration.random_processes import Chance, Member, OneThreadLoop, RandomCalls
from tests.unit.adapters.ownership.world import Database, world_in_memory
from tests.unit.contracts.builders import change_set, entry, numbered_id, put, same, task

STEPS = 400
PROCESSES = 3
AT_ONCE_MAX = 4
RECORDS = 5
COPIES_MAX = 4
SILENT_SECONDS = 20.0
SETTLING_ROUNDS_MAX = 40
EXPECTED = (TandemError, StoreRefused, Ended)
Deed = Callable[[Member], Awaitable[None]]


@dataclass
class Attempt:
    """A write that was acknowledged: its entry, and the version and title that it gave to a task."""

    entry_id: str
    task_id: str
    version: int
    title: str


class RandomMove:
    """One run. `findings` are the promises that were broken, in words."""

    first_version: ClassVar[int] = 1
    """The first version of a task that has an entry."""
    steps: ClassVar[int] = STEPS
    fault_share: ClassVar[float] = 0.001

    def __init__(self, seed: int, kind: type[MovingService] = MovingService) -> None:
        self._chance = Chance(seed, fault_share=self.fault_share)
        self._random = self._chance.random
        self.happened = self._chance.happened
        self.acknowledged: list[Attempt] = []
        self.findings: list[str] = []
        self._kind = kind
        self._numbers = iter(range(1, 1_000_000))
        self._copies: list[tuple[Ownership, Any]] = []
        self._moves_under_way = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Fills the installation, lets things happen, and checks every promise afterwards."""
        self.world = await world_in_memory()
        await self._fill()
        self._members = [Member(self._chance, self._entering) for _ in range(PROCESSES)]
        calls = RandomCalls(self._chance)
        await self._members[0].begin(self._kind(self.world, "first", calls=calls), calls)
        self._chance.is_calm = False
        for _ in range(self.steps):
            await self._step()
        await asyncio.gather(*self._tasks)
        self._chance.is_calm = True
        await self._check()

    async def _fill(self) -> None:
        """What the first store holds before the mirror began."""

    async def _change(self, service: MovingService) -> ChangeOfOwner:
        """A move that nothing forbids. Raises Conflict."""
        return service.change()

    async def _entering(self, calls: RandomCalls) -> MovingService:
        """A process that has to start yet, with the owner that it finds."""
        name = f"process {next(self._numbers)}"
        probe = MovingService(self.world, f"{name} looks")
        found = await owner_among(probe.raw_source, probe.raw_target, seconds_max=1)
        is_second = found is not None and found.store == SECOND
        world, source = (opposite(self.world), SECOND) if is_second else (self.world, FIRST)
        service = self._kind(world, name, source=source, calls=calls)
        ownership = await service.side.enter()
        if ownership.gate is Gate.ARMED:
            await service.compare_successor()
            await service.side.take_over()
        elif ownership.move is not None:
            await source_state(service.side, now=self._chance.now())
        return service

    async def _step(self) -> None:
        await self._require_one_owner()
        if len(self._tasks) >= AT_ONCE_MAX or self._random.random() < 0.3:
            for _ in range(self._random.randrange(20)):
                await asyncio.sleep(0)
            return
        member = self._random.choice(self._members)
        deeds = self._deeds()
        (deed,) = self._random.choices(list(deeds), weights=list(deeds.values()))
        task_ = asyncio.create_task(self._tried(deed, member))
        self._tasks.add(task_)
        task_.add_done_callback(self._tasks.discard)

    def _deeds(self) -> dict[Deed, int]:
        """What may happen, and how often in comparison."""
        return {
            self._write: 8,
            self._deliver: 6,
            self._compare: 4,
            self._look: 5,
            self._move: 2,
            self._rehearse: 1,
            self._pass_time: 6,
            self._copy: 2,
            self._restore: 2,
            self._end: 1,
            self._stop: 1,
        }

    async def _tried(self, deed: Deed, member: Member) -> None:
        """What is refused, or ends with its process, was not promised."""
        try:
            await deed(member)
            self.happened[deed.__name__.strip("_")] += 1
        except EXPECTED:
            self.happened[f"{deed.__name__.strip('_')} refused"] += 1

    async def _write(self, member: Member) -> None:
        service = await member.running()
        task_id = numbered_id(self._random.randrange(1, RECORDS + 1))
        held = (await service.raw_source.fetch("tasks", [task_id])).get(task_id)
        version = 1 if held is None else held[VERSION] + 1
        number = next(self._numbers)
        attempt = Attempt(numbered_id(number), task_id, version, f"Attempt {number}")
        change = put("tasks", task(int(task_id, 16), version=version, title=attempt.title))
        written = entry(change, id=attempt.entry_id, changeSetId=attempt.entry_id, syncStatus="PENDING")
        await service.source.commit(change_set(change, entries=[written]))
        self.acknowledged.append(attempt)

    async def _deliver(self, member: Member) -> None:
        await (await member.running()).deliver()

    async def _compare(self, member: Member) -> None:
        await (await member.running()).target.compare()

    async def _look(self, member: Member) -> None:
        await member.follow()

    async def _move(self, member: Member) -> None:
        await self._moved(member, ChangeOfOwner.run)

    async def _rehearse(self, member: Member) -> None:
        await self._moved(member, ChangeOfOwner.rehearse)

    async def _moved(self, member: Member, move: Callable[[ChangeOfOwner], Awaitable[object]]) -> None:
        self._moves_under_way += 1
        try:
            await move(await self._change(await member.running()))
        finally:
            self._moves_under_way -= 1

    async def _pass_time(self, _: Member) -> None:
        """Some processes do not beat meanwhile: they sleep, and count as ended afterwards."""
        services = [one.beating for one in self._members if one.beating is not None]
        beating = [one for one in services if self._random.random() < 0.9]
        await self.world.pass_time(self._random.choice((1.0, 2.0, 5.0, SILENT_SECONDS)), *beating)

    async def _copy(self, _: Member) -> None:
        mirror = await self._mirror()
        self._copies = [*self._copies, (await ownership_of(mirror), mirror.copied())][-COPIES_MAX:]

    async def _restore(self, _: Member) -> None:
        """Puts a copy that was made since the last move in the place of the mirror. One of a former owner, and one that
        is put back while the ownership moves, may be left to a person.
        """
        mirror = await self._mirror()
        now = await ownership_of(mirror)
        copies = [
            copy for copied, copy in self._copies if (copied.store, copied.epoch) == (now.store, now.epoch)
        ]
        if not copies or self._moves_under_way:
            raise StoreUnavailable("There is nothing to restore.")
        mirror.put_back(self._random.choice(copies))

    async def _end(self, member: Member) -> None:
        member.end()

    async def _stop(self, member: Member) -> None:
        await (await member.running()).stop()
        member.end()

    async def _mirror(self) -> Database:
        """The store that does not own the writes. Raises StoreUnavailable while a move is not finished."""
        both = (self.world.source, self.world.target)
        records = [await ownership_of(database) for database in both]
        owners = [record for record in records if record.role is Role.OWNER]
        if len(owners) != 1 or owners[0].move is not None or owners[0].gate is not Gate.OPEN:
            raise StoreUnavailable("The ownership moves.")
        return both[1 - records.index(owners[0])]

    async def _require_one_owner(self) -> None:
        first, second = await ownership_of(self.world.source), await ownership_of(self.world.target)
        if takes_writes(first, second) and takes_writes(second, first):
            self.findings.append(f"both stores take writes: {first}, {second}")

    async def _check(self) -> None:
        """Nothing goes wrong any more: a new process finds the owner, delivers the rest, and can move the ownership."""
        for member in self._members:
            member.end()
        try:
            service = await self._settled()
            await self._require_kept(service, "the owner")
            await (await self._change(service)).run()
            await self._require_kept(await self._settled(), "the next owner")
        except (TandemError, StoreRefused, AssertionError) as failure:
            self.findings.append(f"the installation cannot go on: {failure!r}")

    async def _settled(self) -> MovingService:
        """A process that has delivered everything, and found the mirror complete."""
        failure: object = None
        member = Member(self._chance, self._entering)
        for _ in range(SETTLING_ROUNDS_MAX):
            try:
                service = await member.running()
                await service.target.compare()
                await service.deliver()
                await service.target.compare()
                failure = service.side.refusal or await service.undelivered()
                if not failure:
                    return service
                await member.follow()
            except (TandemError, StoreRefused) as error:
                failure = error
            await self.world.pass_time(SILENT_SECONDS, *([member.beating] if member.beating else []))
        raise StoreUnavailable(f"It does not settle: {failure!r}")

    async def _require_kept(self, service: MovingService, name: str) -> None:
        store = service.raw_source
        tasks = {one[ID]: one for one in await store.scan("tasks", after=None, limit=1_000)}
        entries = {one[ID]: one for one in await store.scan(AUDIT_LOGS.collection, after=None, limit=10_000)}
        self.findings += [
            f"{name} lacks {attempt}"
            for attempt in self.acknowledged
            if attempt.entry_id not in entries or not _holds(tasks.get(attempt.task_id), attempt)
        ]
        for id_, record in tasks.items():
            versions = sorted(one[VERSION] for one in entries.values() if one["entityId"] == id_)
            if versions != list(range(self.first_version, record[VERSION] + 1)):
                self.findings.append(
                    f"{name} has the versions {versions} of {id_}, which is at {record[VERSION]}"
                )
        if not same(await contents(service.raw_source), await contents(service.raw_target)):
            self.findings.append(f"the mirror of {name} differs")


def _holds(record: Record | None, attempt: Attempt) -> bool:
    if record is None or record[VERSION] < attempt.version:
        return False
    return bool(record[VERSION] > attempt.version or record["title"] == attempt.title)


R = TypeVar("R", bound=RandomMove)


def run_seed(seed: int, kind: type[MovingService] = MovingService) -> RandomMove:
    """The run of one seed, which has ended."""
    return ended(RandomMove(seed, kind))


def ended(run: R) -> R:
    """The run, once it has ended."""
    with asyncio.Runner(loop_factory=OneThreadLoop) as runner:
        runner.run(run.run())
    return run
