"""One rejected change set among many is found, whatever the target says of the batch that it is in."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from itertools import permutations

import pytest

from adapters.records.change_set import ApplyOutcome, ChangeSet, Rejection
from adapters.records.isolation import SomeAreSlow, apply_each, bisected
from domain.errors import AlreadyExists, RuleBroken, StoreUnavailable
from tests.unit.adapters.dual_write.virtual_time import simulate
from tests.unit.adapters.dual_write.world import (
    LABEL,
    Process,
    Stores,
    change_set_of,
    creation,
    edition,
    entries_of,
    label_in,
    left_pending,
    too_long,
)
from tests.unit.contracts.builders import put, reason_of, task
from tests.unit.faults import FaultyStore
from tests.unit.memory_store import MemoryRecordStore

POISON = "far longer than twenty characters"
REASON = "name: longer than 20 characters"


class StatementStore(MemoryRecordStore):
    """Writes all it is given in one statement, which stores nothing where it fails and does not say for what."""

    def __init__(self) -> None:
        super().__init__("target")
        self.calls = 0
        self.is_down_after_calls = 1_000_000

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        self.calls += 1
        if self.calls > self.is_down_after_calls:
            raise StoreUnavailable
        before = self.snapshot()
        outcomes: list[ApplyOutcome] = []
        for change_set in change_sets:
            reason = too_long(change_set)
            outcomes += [Rejection(reason)] if reason else await super().apply([change_set])
        rejections = [outcome for outcome in outcomes if outcome is not None]
        if rejections and len(change_sets) > 1:
            self.put_back(before)
            reason = reason_of(rejections[0])
            raise AlreadyExists if "taken" in reason else RuleBroken(reason)
        return outcomes


def batch_of(size: int, *poisons: int) -> list[ChangeSet]:
    return [
        change_set_of(creation(number, **({"name": POISON} if number in poisons else {})))
        for number in range(size)
    ]


async def held(store: MemoryRecordStore) -> int:
    return len(await store.scan(LABEL, after=None, limit=1_000))


@pytest.mark.parametrize("poisons", [(), (0,), (63,), (17,), (17, 18), (0, 31, 32, 63)], ids=str)
async def test_rejected_change_sets_are_isolated_and_all_others_arrive(poisons: tuple[int, ...]) -> None:
    store = StatementStore()
    outcomes = await bisected(store.apply, batch_of(64, *poisons))
    rejected = {place: reason_of(one) for place, one in enumerate(outcomes) if one}
    assert rejected == dict.fromkeys(poisons, REASON)
    assert await held(store) == 64 - len(poisons)
    # Two calls a level for each poison: the halves of 64 are halved five times more.
    assert store.calls <= 1 + 12 * len(poisons)


async def test_a_batch_without_poison_takes_one_call() -> None:
    store = StatementStore()
    assert await apply_each(store.apply, batch_of(64)) == [None] * 64
    assert store.calls == 1


async def test_an_empty_batch_has_no_outcomes() -> None:
    assert await apply_each(_crash, []) == []


async def test_an_outage_while_poison_is_isolated_is_an_outage() -> None:
    store = StatementStore()
    store.is_down_after_calls = 4
    with pytest.raises(StoreUnavailable):
        await apply_each(store.apply, batch_of(64, 17))


@pytest.mark.parametrize("order", list(permutations(range(3))), ids=str)
async def test_a_name_moves_between_records_of_one_batch_in_any_order(order: tuple[int, ...]) -> None:
    store = StatementStore()
    before = creation(1, name="red")
    await store.apply([change_set_of(before)])
    changes = [
        change_set_of(edition(before[1], name="blue")),
        change_set_of(creation(2, name="red")),
        change_set_of(creation(3, name="green")),
    ]
    assert await apply_each(store.apply, [changes[place] for place in order]) == [None] * 3
    assert [(await label_in(store, number))["name"] for number in (1, 2, 3)] == ["blue", "red", "green"]


async def _crash(change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
    raise TypeError("a bug of the driver")


async def _taken(change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
    raise AlreadyExists(fields=("scope", "name"))


@pytest.mark.parametrize(
    ("apply", "words"),
    [(_crash, ("The target failed to store it", "TypeError")), (_taken, ("scope, name",))],
    ids=["a bug of the driver", "a taken key"],
)
async def test_an_error_for_one_change_set_is_its_rejection(
    apply: Callable[[Sequence[ChangeSet]], Awaitable[list[ApplyOutcome]]], words: tuple[str, ...]
) -> None:
    outcomes = await bisected(apply, batch_of(2))
    for outcome in outcomes:
        assert all(word in reason_of(outcome) for word in words)


@pytest.mark.parametrize("is_backlog", [True, False], ids=["by the relay", "by requests"])
def test_one_poison_in_a_batch_is_counted_with_its_own_reason_and_alone(is_backlog: bool) -> None:
    async def check() -> None:
        stores = Stores(target=StatementStore())
        process = Process(stores)
        await process.store.open()
        if is_backlog:
            await left_pending(stores, *batch_of(40, 17))
            await process.relay.drain()
        else:
            await asyncio.gather(*(process.commit(one) for one in batch_of(40, 17)))
        await process.store.close()
        (poison,) = await entries_of(stores, 17)
        assert (poison["syncStatus"], poison["syncAttempts"]) == ("FAILED", 1)
        assert poison["syncError"] == REASON
        others = await entries_of(stores, *(number for number in range(40) if number != 17))
        assert [entry["syncStatus"] for entry in others] == ["SYNCED"] * 39
        assert await held(stores.target) == 39

    simulate(check())


async def test_outcomes_that_a_target_gives_for_each_change_set_are_kept() -> None:
    store = MemoryRecordStore("target")
    target = FaultyStore(store, dislike=too_long)
    outcomes = await apply_each(target.apply, batch_of(8, 3))
    assert [None if outcome is None else reason_of(outcome) for outcome in outcomes] == [
        REASON if number == 3 else None for number in range(8)
    ]
    assert await held(store) == 7


async def test_slow_change_sets_are_applied_alone_after_the_others() -> None:
    changes = [ChangeSet((put("tasks", task(number)),)) for number in range(4)]
    slow = [changes[0], changes[2]]
    sent: list[list[ChangeSet]] = []

    async def apply(part: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        sent.append(list(part))
        if len(part) > 1 and any(one in slow for one in part):
            raise SomeAreSlow(slow)
        return [Rejection("slow") if one in slow else None for one in part]

    outcomes = await bisected(apply, changes)
    assert outcomes == [Rejection("slow"), None, Rejection("slow"), None]
    assert sent == [changes, [changes[1], changes[3]], [changes[0]], [changes[2]]]
