"""One relay at a time, without a shared clock."""

import asyncio

from adapters.dual_write.lease import LEASE_ID, RelayLease
from adapters.records.record import VERSION
from adapters.records.specs import CONTROL
from tests.unit.adapters.dual_write.virtual_time import simulate
from tests.unit.memory_store import MemoryRecordStore

LEASE_MS = 10_000
LEASE_SECONDS = LEASE_MS / 1000


def lease(store: MemoryRecordStore, holder: str) -> RelayLease:
    return RelayLease(store, holder=holder, lease_ms=LEASE_MS)


async def stored_version(store: MemoryRecordStore) -> int:
    version: int = (await store.fetch(CONTROL.collection, (LEASE_ID,)))[LEASE_ID][VERSION]
    return version


def test_of_two_that_ask_at_once_one_holds_it() -> None:
    async def check() -> None:
        store = MemoryRecordStore()
        held = await asyncio.gather(*(lease(store, name).hold() for name in ("left", "right")))
        assert sorted(held) == [False, True]

    simulate(check())


def test_a_holder_that_renews_keeps_it() -> None:
    async def check() -> None:
        store = MemoryRecordStore()
        left, right = lease(store, "left"), lease(store, "right")
        for _ in range(100):
            assert await left.hold()
            assert not await right.hold()
            await asyncio.sleep(LEASE_SECONDS / 4)

    simulate(check())


def test_a_killed_holder_is_followed_after_the_lease_with_a_higher_fence() -> None:
    async def check() -> None:
        store = MemoryRecordStore()
        dead, heir = lease(store, "dead"), lease(store, "heir")
        assert await dead.hold()
        fence = await stored_version(store)
        assert not await heir.hold()
        await asyncio.sleep(LEASE_SECONDS - 0.1)
        assert not await heir.hold()
        await asyncio.sleep(0.1)
        assert await heir.hold()
        assert await stored_version(store) > fence

    simulate(check())


def test_a_holder_that_slept_too_long_learns_that_it_lost() -> None:
    async def check() -> None:
        store = MemoryRecordStore()
        sleeper, heir = lease(store, "sleeper"), lease(store, "heir")
        assert await sleeper.hold()
        assert not await heir.hold()
        await asyncio.sleep(LEASE_SECONDS)
        assert await heir.hold()
        assert not await sleeper.hold()

    simulate(check())


def test_a_released_lease_is_taken_at_once() -> None:
    async def check() -> None:
        store = MemoryRecordStore()
        left, right = lease(store, "left"), lease(store, "right")
        assert await left.hold()
        assert not await right.hold()
        await left.release()
        await left.release()
        assert await right.hold()
        assert not await left.hold()

    simulate(check())


def test_releasing_what_another_took_leaves_it_to_the_other() -> None:
    async def check() -> None:
        store = MemoryRecordStore()
        sleeper, heir = lease(store, "sleeper"), lease(store, "heir")
        assert await sleeper.hold()
        assert not await heir.hold()
        await asyncio.sleep(LEASE_SECONDS)
        assert await heir.hold()
        version = await stored_version(store)
        await sleeper.release()
        assert await stored_version(store) == version
        assert await heir.hold()

    simulate(check())


def test_holding_it_writes_only_when_renewal_is_due() -> None:
    async def check() -> None:
        store = MemoryRecordStore()
        holder = lease(store, "holder")
        for _ in range(1_000):
            assert await holder.hold()
        assert await stored_version(store) == 1

    simulate(check())
