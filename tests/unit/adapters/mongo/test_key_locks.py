"""Locks on the documents that change sets guard, within one process."""

import asyncio

import pytest

from adapters.mongo.key_locks import KeyLocks
from adapters.records.change_set import Guard
from domain.errors import StoreUnavailable

POND, SHED = Guard("projects", "1" * 24, 1), Guard("projects", "2" * 24, 1)
SECONDS_MAX = 5.0


async def test_a_document_is_locked_by_one_change_set_at_a_time() -> None:
    locks, holding, most = KeyLocks(), 0, 0

    async def hold() -> None:
        nonlocal holding, most
        async with locks.holding([POND], wait_seconds=SECONDS_MAX):
            holding += 1
            most = max(most, holding)
            await asyncio.sleep(0)
            holding -= 1

    await asyncio.gather(*(hold() for _ in range(10)))
    assert most == 1


async def test_a_change_set_that_guards_another_document_does_not_wait() -> None:
    locks = KeyLocks()
    async with (
        locks.holding([POND], wait_seconds=SECONDS_MAX),
        locks.holding([SHED], wait_seconds=0.01),
        locks.holding([], wait_seconds=0.01),
    ):
        pass


async def test_two_change_sets_with_the_same_guards_in_other_orders_do_not_deadlock() -> None:
    locks = KeyLocks()

    async def hold(*guards: Guard) -> None:
        for _ in range(20):
            async with locks.holding(guards, wait_seconds=SECONDS_MAX):
                await asyncio.sleep(0)

    async with asyncio.timeout(SECONDS_MAX):
        await asyncio.gather(hold(POND, SHED), hold(SHED, POND))


async def test_waiting_too_long_raises_and_leaves_no_lock_held() -> None:
    locks = KeyLocks()
    async with locks.holding([SHED], wait_seconds=SECONDS_MAX):
        with pytest.raises(StoreUnavailable):
            async with locks.holding([POND, SHED], wait_seconds=0.01):
                raise AssertionError("both are held")
        async with locks.holding([POND], wait_seconds=0.01):
            pass
