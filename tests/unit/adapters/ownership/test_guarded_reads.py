"""What a store answers after somebody has emptied it is no answer about the records that it held."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.ownership.guarded_reads import GuardedReads
from adapters.ownership.kept_record import LOOK_SECONDS
from adapters.ownership.last_seen import LastSeen
from adapters.ownership.refusals import StoreLost
from adapters.ownership.source_side import SourceSettings, SourceSide
from adapters.records.criteria import EVERYTHING, Question
from adapters.records.record import Record
from adapters.records.record_store import RecordStore
from adapters.records.specs import CONTROL
from tests.unit.adapters.ownership.world import Database, View

MISSING = "a" * 24
Read = Callable[[RecordStore], Awaitable[object]]
READS: dict[str, Read] = {
    "fetch": lambda store: store.fetch("tasks", [MISSING]),
    "gather": lambda store: store.gather({"users": [], "tasks": [MISSING]}),
    "find": lambda store: store.find(Question(collection="tasks", limit=1)),
    "count": lambda store: store.count("tasks", EVERYTHING),
    "scan": lambda store: store.scan("tasks", after=None, limit=1),
}


class LookedAt(View):
    """Counts how often the control record is read, and answers that once it may."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.looks = 0
        self.answers_looks = asyncio.Event()
        self.answers_looks.set()

    async def fetch(self, collection: str, ids: Sequence[str]) -> dict[str, Record]:
        if collection == CONTROL.collection:
            self.looks += 1
            await self.answers_looks.wait()
        return await super().fetch(collection, ids)


@dataclass
class World:
    """A source that a process uses, and its time."""

    database: Database
    directory: Path
    now: float = 0.0

    async def entered(self, view: View | None = None) -> tuple[SourceSide, GuardedReads]:
        view = view or View(self.database)
        settings = SourceSettings(target=None, last_seen=LastSeen(self.directory), monotonic=lambda: self.now)
        side = SourceSide(view, settings)
        await side.enter()
        await side.begin_writes()
        return side, GuardedReads(view, source=lambda: side)


@pytest.fixture
async def world(tmp_path: Path) -> World:
    return World(await Database().opened(), tmp_path)


@pytest.mark.parametrize("read", READS.values(), ids=READS)
async def test_an_answer_that_finds_nothing_is_refused_once_the_store_was_emptied(
    world: World, read: Read
) -> None:
    side, reads = await world.entered()
    kept = world.database.copied()
    found = await read(reads)
    world.database.put_back((await Database().opened()).copied())
    world.now += LOOK_SECONDS

    with pytest.raises(StoreLost, match="Restore a copy of it, then start Tandem again: tandem serve"):
        await read(reads)
    for other in READS.values():
        with pytest.raises(StoreLost):
            await other(reads)

    world.database.put_back(kept)
    await side.required()  # as the process looks every second
    assert await read(reads) == found


async def test_the_source_is_looked_at_only_now_and_then(world: World) -> None:
    _, reads = await world.entered()
    world.now += LOOK_SECONDS
    await reads.fetch("tasks", [MISSING])
    world.database.put_back((await Database().opened()).copied())
    assert await reads.fetch("tasks", [MISSING]) == {}
    world.now += LOOK_SECONDS
    with pytest.raises(StoreLost):
        await reads.fetch("tasks", [MISSING])


async def test_an_outage_of_the_look_does_not_fail_an_answer(world: World) -> None:
    _, reads = await world.entered()
    world.now += LOOK_SECONDS
    answer = reads.count("tasks", EVERYTHING)
    world.database.is_down = True
    assert await answer == 0


async def test_a_read_that_is_given_up_says_nothing_about_the_source(world: World) -> None:
    view = LookedAt(world.database)
    side, reads = await world.entered(view)
    world.now += 60
    watched = side.sight.seconds
    view.answers_looks.clear()
    asking = asyncio.ensure_future(reads.count("tasks", EVERYTHING))
    await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert side.sight.seconds == watched


async def test_answers_at_once_share_one_look(world: World) -> None:
    view = LookedAt(world.database)
    _, reads = await world.entered(view)
    before = view.looks
    world.now += LOOK_SECONDS
    view.answers_looks.clear()
    given_up, *asking = [asyncio.ensure_future(read(reads)) for read in READS.values()]
    await asyncio.sleep(0.01)
    given_up.cancel()
    view.answers_looks.set()
    await asyncio.gather(*asking)
    assert view.looks == before + 1


async def test_the_database_of_another_installation_is_not_served(world: World, tmp_path: Path) -> None:
    side, reads = await world.entered()
    other = World(await Database().opened(), tmp_path / "other")
    other.directory.mkdir()
    await other.entered()
    world.database.put_back(other.database.copied())
    world.now += LOOK_SECONDS
    for look in (reads.count("tasks", EVERYTHING), side.required(), reads.fetch("tasks", [])):
        with pytest.raises(StoreLost, match="belongs to another installation"):
            await look
