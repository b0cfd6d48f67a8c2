"""What a store answers after somebody has emptied it is no answer about the records that it held."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from adapters.ownership.guarded_reads import LOOK_SECONDS, GuardedReads
from adapters.ownership.last_seen import LastSeen
from adapters.ownership.refusals import StoreLost
from adapters.ownership.source_side import SourceSettings, SourceSide
from adapters.records.criteria import EVERYTHING, Question
from adapters.records.record_store import RecordStore
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


@dataclass
class World:
    """A source that a process uses, and its time."""

    database: Database
    directory: Path
    now: float = 0.0

    async def entered(self) -> tuple[SourceSide, GuardedReads]:
        view = View(self.database)
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
