"""A target that must not be used is an outage with its reason: nothing is sent, counted or parked because of it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import pytest

from adapters.dual_write.mirror_target import MirrorTarget
from adapters.records.change_set import ApplyOutcome, Blocked, ChangeSet
from adapters.records.isolation import apply_each, bisected
from adapters.records.record_store import StoreRefused
from domain.errors import StoreUnavailable
from tests.unit.adapters.dual_write.virtual_time import simulate
from tests.unit.adapters.dual_write.world import (
    LABEL,
    LONG_ENOUGH,
    QUICK,
    Stores,
    assert_promises,
    change_set_of,
    creation,
    entries_of,
    left_pending,
    relaying,
    started,
    statuses,
    stopped,
)
from tests.unit.faults import Moment, Step, Weather
from tests.unit.memory_store import MemoryRecordStore

REASON = "This store belongs to another installation. Name the right one."
TIMEOUT_MS = 1_000.0

Call = Callable[[MirrorTarget], Awaitable[object]]


class Swapped(Weather):
    """While `calls_refused` names them, these operations find another installation's database."""

    def __init__(self) -> None:
        super().__init__()
        self.calls_refused: tuple[str, ...] = ()

    async def __call__(self, step: Step) -> None:
        await super().__call__(step)
        if step.moment is Moment.BEFORE and step.operation in self.calls_refused:
            raise StoreRefused("This store belongs to another installation.", remedy="Name the right one.")


class EmptiedStore(MemoryRecordStore):
    """While it is emptied, no table is there."""

    def __init__(self) -> None:
        super().__init__("target")
        self.is_emptied = False

    async def apply(self, change_sets: Sequence[ChangeSet]) -> list[ApplyOutcome]:
        missing = Blocked("audit_logs", "postgres_audit_logs", "It does not exist.", "42P01")
        return [missing] * len(change_sets) if self.is_emptied else await super().apply(change_sets)


EVERY_CALL = ("open", "ping", "prepare", "apply", "fetch")


@pytest.mark.parametrize("refused", [("apply",), ("ping", "apply"), EVERY_CALL], ids=str)
def test_a_target_that_turns_out_to_be_another_s_counts_and_parks_nothing(refused: tuple[str, ...]) -> None:
    async def check() -> None:
        stores, swapped = Stores(), Swapped()
        await left_pending(stores, *(change_set_of(creation(number)) for number in range(1, 41)))
        process, running = await relaying(stores, swapped)
        swapped.calls_refused = refused
        for number in range(41, 45):
            await process.create(number)
        await asyncio.sleep(LONG_ENOUGH)
        entries = await entries_of(stores, *range(1, 45))
        assert {(one["syncStatus"], one["syncAttempts"], one["syncError"]) for one in entries} == {
            ("PENDING", 0, None)
        }
        assert process.target.breaker.reason == REASON
        assert await stores.target.scan(LABEL, after=None, limit=100) == []
        swapped.calls_refused = ()
        await asyncio.sleep(2 * QUICK.probe_delay_seconds_max)
        assert await statuses(stores) == ["SYNCED"] * 44
        await stopped(process, running)
        await assert_promises(stores)

    simulate(check())


def test_a_request_finds_out_without_a_rejection_and_opens_the_breaker() -> None:
    async def check() -> None:
        stores, swapped = Stores(), Swapped()
        process = await started(stores, swapped)
        swapped.calls_refused = ("apply",)
        await process.create(1)
        assert process.target.breaker.reason == REASON
        assert await statuses(stores) == ["PENDING"]
        await process.store.close()

    simulate(check())


def test_the_missing_tables_of_another_database_are_not_taken_for_blocked_ones() -> None:
    async def check() -> None:
        target, swapped = EmptiedStore(), Swapped()
        stores = Stores(target=target)
        process, running = await relaying(stores, swapped)
        target.is_emptied, swapped.calls_refused = True, ("ping",)
        await process.create(1)
        await asyncio.sleep(LONG_ENOUGH)
        assert await statuses(stores) == ["PENDING"]
        assert process.target.blockages.tables() == []
        assert process.target.breaker.reason == REASON
        target.is_emptied, swapped.calls_refused = False, ()
        await asyncio.sleep(2 * QUICK.probe_delay_seconds_max)
        await stopped(process, running)
        await assert_promises(stores)

    simulate(check())


@pytest.mark.parametrize(
    "call",
    [
        MirrorTarget.connect,
        MirrorTarget.ping,
        lambda target: target.apply([change_set_of(creation(1))], timeout_ms=TIMEOUT_MS),
        lambda target: target.apply_patiently([change_set_of(creation(1))], timeout_ms=TIMEOUT_MS),
        lambda target: target.fetch(LABEL, []),
    ],
    ids=["connect", "ping", "apply", "apply_patiently", "fetch"],
)
def test_every_call_to_it_is_unavailable_with_the_reason(call: Call) -> None:
    async def check() -> None:
        swapped = Swapped()
        process = await started(Stores(), swapped)
        swapped.calls_refused = EVERY_CALL
        with pytest.raises(StoreUnavailable) as caught:
            await call(process.target)
        assert caught.value.message == process.target.breaker.reason == REASON
        assert not await process.target.is_reachable()
        await process.store.close()

    simulate(check())


@pytest.mark.parametrize("isolate", [bisected, apply_each])
async def test_isolation_blames_no_change_set_for_a_store_that_refuses(
    isolate: Callable[..., Awaitable[list[ApplyOutcome]]],
) -> None:
    calls = 0

    async def refuse(change_sets: list[ChangeSet]) -> list[ApplyOutcome]:
        nonlocal calls
        calls += 1
        raise StoreRefused(REASON)

    with pytest.raises(StoreRefused):
        await isolate(refuse, [change_set_of(creation(number)) for number in range(8)])
    assert calls == 1
