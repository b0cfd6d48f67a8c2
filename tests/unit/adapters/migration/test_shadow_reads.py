"""Shadow reads find what differs and lasts, keep names only, and never touch the answer."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from adapters.migration.own_writes import NOTHING_UNCONFIRMED
from adapters.migration.setbacks import DIFFERENCES_MAX, ERRORS_MAX, WINDOW_SECONDS, Setbacks
from adapters.migration.shadow import (
    COUNT,
    IDS_KEPT_MAX,
    ORDER,
    SHADOWS_MAX,
    ShadowDifference,
    ShadowReads,
    differences_between,
)
from adapters.records.change_set import ChangeSet
from adapters.records.criteria import EVERYTHING, Order, Question
from application.ports.migration import DifferenceKind
from tests.unit.adapters.migration.routed_world import ALL_SHADOWED, OUTAGE, READER, RoutedWorld, Time
from tests.unit.builders import numbered_id
from tests.unit.contracts.builders import put, task

LIST = Question(collection="tasks", order=Order("title"), limit=50)


class Shadowed:
    """A world whose reads are all shadowed, and what the shadow reads found."""

    def __init__(self) -> None:
        self.world = RoutedWorld()
        self.found: list[ShadowDifference] = []
        self.errors: list[str] = []
        self.reads = ShadowReads(
            self.world.mirrored,
            at_target=self.world.store.read_shadow,
            on_difference=self.found.append,
            on_error=self.errors.append,
            pauses_seconds=(0.001, 0.05),
        )
        self.world.store.shadows = self.reads

    async def finished(self) -> None:
        """Waits until no shadow read runs."""
        running = [one for one in asyncio.all_tasks() if one.get_name() == "shadow read"]
        await asyncio.gather(*running)

    async def tamper(self, number: int, *, version: int = 2, **fields: object) -> None:
        """Writes to the target alone."""
        change = put("tasks", task(number, version=version, **fields))
        await self.world.target_store.apply([ChangeSet((change,))])


async def shadowed() -> Shadowed:
    made = Shadowed()
    for number in (1, 2):
        await made.world.write(number)
    await made.world.deliver()
    await made.world.route(ALL_SHADOWED)
    return made


async def test_the_source_answers_and_equal_answers_are_no_difference() -> None:
    made = await shadowed()
    assert await made.world.title(1) == "Task 1, 1"
    await made.finished()
    assert made.reads.compared == {"tasks": 1}
    assert made.found == []


async def test_a_changed_record_is_counted_by_field_without_its_values() -> None:
    made = await shadowed()
    record = (await made.world.source.fetch("tasks", [numbered_id(1)]))[numbered_id(1)]
    made.world.target_store.overwrite("tasks", {**record, "title": "secret words"})
    assert await made.world.title(1) == "Task 1, 1"
    await made.finished()
    changed = ShadowDifference("tasks", DifferenceKind.CHANGED, (numbered_id(1),), ("title",))
    assert made.found == [changed]
    assert made.reads.differing == {("tasks", DifferenceKind.CHANGED): 1}
    assert "secret" not in repr(made.found)


@pytest.mark.parametrize("kind", ["fetch", "gather", "find", "count"])
async def test_a_record_that_only_the_target_holds_is_found_by_every_kind_of_read(kind: str) -> None:
    made = await shadowed()
    await made.tamper(3, version=1)
    store, ids = made.world.store, [numbered_id(number) for number in (1, 2, 3)]
    reads: dict[str, Callable[[], Awaitable[object]]] = {
        "fetch": lambda: store.fetch("tasks", ids),
        "gather": lambda: store.gather({"tasks": ids}),
        "find": lambda: store.find(LIST),
        "count": lambda: store.count("tasks", EVERYTHING),
    }
    await made.world.read(reads[kind], by=READER, read_after=NOTHING_UNCONFIRMED)
    await made.finished()
    assert [one.kind for one in made.found] == [COUNT if kind == "count" else DifferenceKind.EXTRA]


async def test_a_mirror_on_its_way_is_no_difference() -> None:
    made = await shadowed()
    await made.world.write(1, version=2)
    assert await made.world.title(1) == "Task 1, 2"
    await made.finished()
    assert made.found == []
    assert made.reads.compared == {"tasks": 1}


async def test_a_mirror_that_arrives_during_the_pause_is_no_difference() -> None:
    made = await shadowed()
    await made.world.write(1, version=2)
    await made.world.title(1)
    await made.world.deliver()
    await made.finished()
    assert made.found == []


async def test_a_lost_update_is_found_once_nothing_is_on_its_way() -> None:
    made = await shadowed()
    entry_id = await made.world.write(1, version=2)
    await made.world.deliver()
    record = (await made.world.source.fetch("tasks", [numbered_id(1)]))[numbered_id(1)]
    made.world.target_store.overwrite("tasks", {**record, "version": 1})
    await made.world.title(1)
    await made.finished()
    assert [one.kind for one in made.found] == [DifferenceKind.BEHIND]
    assert entry_id not in repr(made.found)


def test_equal_records_in_another_order_differ() -> None:
    one, two = task(1), task(2)
    assert differences_between("tasks", [one, two], [two, one])[0].kind == ORDER
    assert differences_between("tasks", [one, two], [one, two]) == []


def test_of_many_differences_a_few_ids_are_kept() -> None:
    source = [task(number) for number in range(100)]
    (found,) = differences_between("tasks", source, [])
    assert found.kind == DifferenceKind.MISSING
    assert len(found.ids) == IDS_KEPT_MAX


async def test_a_target_that_does_not_answer_is_an_error_and_no_difference() -> None:
    made = await shadowed()
    made.world.target_store.trouble = OUTAGE
    assert await made.world.title(1) == "Task 1, 1"
    await made.finished()
    assert (made.errors, made.found) == (["tasks"], [])


async def test_reads_beyond_the_bound_are_left_uncompared_and_counted() -> None:
    made = await shadowed()
    for _ in range(SHADOWS_MAX + 5):
        assert await made.world.title(1) == "Task 1, 1"
    await made.finished()
    assert made.reads.compared == {"tasks": SHADOWS_MAX}
    assert made.reads.skipped == {"tasks": 5}


def test_a_collection_steps_back_beyond_its_bound_of_differences() -> None:
    setbacks = Setbacks(monotonic=Time().monotonic)
    assert [setbacks.difference("tasks") for _ in range(DIFFERENCES_MAX)] == [False] * DIFFERENCES_MAX
    assert not setbacks.difference("labels")
    assert setbacks.difference("tasks")


def test_setbacks_outside_the_window_do_not_count() -> None:
    time = Time()
    setbacks = Setbacks(monotonic=time.monotonic)
    for _ in range(ERRORS_MAX):
        assert not setbacks.error("tasks")
    time.seconds += WINDOW_SECONDS + 1
    assert not setbacks.error("tasks")
